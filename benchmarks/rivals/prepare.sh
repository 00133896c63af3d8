#!/bin/sh
# Builds the rivals of `lacon bench tokens` into a folder and says how to run it: prepare.sh [FOLDER]
# From crates.io: fastokens, snaptokens, bpe-openai, tiktoken-rs; from PyPI: gigatoken, fastokens, snaptokens, tiktoken.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-target/rivals}"
to=$(cd "${1:-target/rivals}" && pwd)
CARGO_TARGET_DIR="$to/build" cargo build --release --manifest-path "$here/Cargo.toml"
cp "$to/build/release/rivals" "$to/rivals"
# One processor: some rivals split a long text over all that they see, and the figures are of one thread.
one=$(command -v taskset >/dev/null && echo "taskset -c 0" || true)
cat > "$to/crates" <<EOF
#!/bin/sh
exec $one "$to/rivals" "\$@"
EOF
chmod +x "$to/crates"
cp "$to/build/release/compare" "$to/compare"
for name in o200k_base cl100k_base; do
  "$to/crates" "$name" --json "$to/$name.json"
done
[ -x "$to/venv/bin/python" ] || python3 -m venv "$to/venv"
"$to/venv/bin/pip" install --quiet gigatoken==0.10.0 fastokens==0.3.5 snaptokens==0.2.6 tiktoken==0.14.0
cat > "$to/pypi" <<EOF
#!/bin/sh
TOKENIZER_JSON="$to/\${1:-o200k_base}.json" exec $one "$to/venv/bin/python" "$here/rivals.py" "\$@"
EOF
chmod +x "$to/pypi"
echo "lacon bench tokens --rivals $to/crates --rivals $to/pypi"
