"""From a trained adapter to a GGUF that is known to say the same, and a runtime that asks it.

What lives here: merge, conversion, quantization, parity, and answering one question. What does
not: training, judging answers, and packaging (:mod:`supportbot_dagster.bundle`).
"""
