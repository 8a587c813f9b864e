"""From a Keras model to a release: the ONNX graphs, their parity, the signed statement."""
