//! Tools over HTTP: POST `URL/<tool>` with the arguments as a JSON object, answered by `{"name", "text"}`.
