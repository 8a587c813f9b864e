"""A network camera: a real stream of JPEG images over HTTP."""

import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image


class Stream(ThreadingHTTPServer):
    """Sends images, 50 a second, whose red is their number; the stream can be cut."""

    daemon_threads = True

    def __init__(self, port: int = 0):
        super().__init__(("127.0.0.1", port), _Handler)
        self.is_cut, self.number = threading.Event(), 0
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def cut(self) -> int:
        """End the stream and the server; return its port."""
        self.is_cut.set()
        self.shutdown()
        self.server_close()
        return self.server_port


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            while not self.server.is_cut.is_set():
                self.server.number += 1
                jpeg = io.BytesIO()
                Image.new("RGB", (64, 48), (self.server.number % 250, 9, 9)).save(jpeg, "JPEG")
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {jpeg.tell()}"
                self.wfile.write(f"{head}\r\n\r\n".encode() + jpeg.getvalue() + b"\r\n")
                time.sleep(0.02)
        except OSError:
            pass

    def log_message(self, *_):
        pass
