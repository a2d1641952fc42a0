"""llama.cpp's own HTTP server, from the package xllamacpp (MIT), on 127.0.0.1.

usage: serve_llm.py MODEL.gguf PORT ALIAS
env:   LLM_THREADS (1), LLM_CTX (8192, shared by what runs at once), LLM_PARALLEL (2), LLM_API_KEY (none)
"""

import os
import signal
import sys


def main() -> int:
    model, port, alias = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    threads = int(os.environ.get("LLM_THREADS", "1"))
    # Before the extension is loaded, which reads them.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import xllamacpp

    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)

    settings = xllamacpp.CommonParams()
    settings.model.path = model
    settings.model_alias = {alias}
    settings.hostnames = ["127.0.0.1"]
    settings.port = port
    settings.offline = True
    settings.ui = False
    settings.n_ctx = int(os.environ.get("LLM_CTX", "8192"))
    settings.n_parallel = int(os.environ.get("LLM_PARALLEL", "2"))
    settings.cpuparams.n_threads = threads
    settings.cpuparams_batch.n_threads = threads
    settings.endpoint_metrics = True
    if os.environ.get("LLM_API_KEY"):
        settings.api_keys = [os.environ["LLM_API_KEY"]]
    server = xllamacpp.Server(settings)
    print("listening", server.listening_address, flush=True)
    signal.sigwait(signals)
    print("stopping", flush=True)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
