"""What a user writes to serve a model: FastAPI, base64 in JSON, onnxruntime.

python -m uvicorn --app-dir <folder of this file> --workers 2 fastapi_server:app
"""

import base64
import io
import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from PIL import Image
from pydantic import BaseModel

app = FastAPI()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], options)
(pixels,) = session.get_inputs()


class Request(BaseModel):
    image: str


@app.post("/invocations")
def score(request: Request) -> dict[str, list[float]]:
    image = Image.open(io.BytesIO(base64.b64decode(request.image)))
    image.draft("RGB", (128, 128))
    array = np.asarray(image.convert("RGB").resize((128, 128)))[None]
    return {"probabilities": session.run(None, {pixels.name: array})[0][0].tolist()}
