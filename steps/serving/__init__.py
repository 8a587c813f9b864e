"""From a Keras model to what is released: the ONNX graph, its proof, its MLflow model."""
