"""Language models. `model` is the protocol, `ollama` the implementation on Ollama's native wire.

`answer` turns the bytes of a stream into a whole answer, `tokens` counts what fits, `circuit` stops asking who cannot answer. All three
are pure.
"""
