"""What a user of LitServe writes to serve a model: python litserve_server.py <port>."""

import base64
import io
import os
import sys

import litserve
import numpy as np
import onnxruntime
from PIL import Image


class Scorer(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options)

    def decode_request(self, request):
        image = Image.open(io.BytesIO(base64.b64decode(request["image"])))
        image.draft("RGB", (128, 128))
        return np.asarray(image.convert("RGB").resize((128, 128)))[None]

    def predict(self, pixels):
        return self.session.run(None, {self.session.get_inputs()[0].name: pixels})[0][0]

    def encode_response(self, probabilities):
        return {"probabilities": probabilities.tolist()}


if __name__ == "__main__":
    api = Scorer(api_path="/invocations")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
