"""A headless Chromium that tests drive over a pipe, with the DevTools protocol; None where there is none."""

import base64
import json
import os
import shutil
import subprocess

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KEYS = {
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    "ArrowUp": 38,
    "ArrowDown": 40,
    **{key: ord(key.upper()) for key in " arsuz"},
}


class Browser:
    """One page; `close` ends the process."""

    def __init__(self, profile):
        ours, theirs = os.pipe(), os.pipe()
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"]
        command = f'exec "$0" "$@" 3<&{ours[0]} 4>&{theirs[1]}'
        self.process = subprocess.Popen(
            ["bash", "-c", command, BROWSER, *flags, f"--user-data-dir={profile}"],
            pass_fds=(ours[0], theirs[1]),
            stderr=subprocess.DEVNULL,
        )
        os.close(ours[0])
        os.close(theirs[1])
        self._write, self._read = os.fdopen(ours[1], "wb"), os.fdopen(theirs[0], "rb")
        self._left, self._number, self._session = b"", 0, {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}

    def call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        self._write.write(json.dumps(message).encode() + b"\0")
        self._write.flush()
        while True:
            while b"\0" not in self._left:
                part = self._read.read1()
                assert part, "the browser ended"
                self._left += part
            answer, _, self._left = self._left.partition(b"\0")
            answer = json.loads(answer)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, address, width=1100, height=900, scheme="light"):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=address)
        self.until(
            f"location.href.startsWith({json.dumps(address.partition('?')[0])}) && document.readyState === 'complete'"
        )

    def value(self, expression):
        """Returns the value of a JavaScript expression; a promise is awaited."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def until(self, condition):
        """Waits for a JavaScript expression to be true."""
        end = "Date.now() > end ? fail(document.body.innerText) : setTimeout(look, 20)"
        look = f"const end = Date.now() + 60000, look = () => {condition} ? done() : {end}; look()"
        self.value(f"new Promise((done, fail) => {{ {look} }})")

    def type(self, text):
        self.call("Input.insertText", text=text)

    def press(self, *keys):
        for key in keys:
            about = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
            text = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **about, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def screenshot(self, file):
        """Writes a picture of the window, as PNG."""
        with open(file, "wb") as target:
            target.write(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self):
        self.call("Browser.close")
        self.process.wait(timeout=60)
        self._write.close()
        self._read.close()
