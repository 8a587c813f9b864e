"""From a Keras model to a release: the ONNX graphs, their parity, the release statement."""
