"""check.py MEMSERVER BROWSER: starts a server, uses it, and looks at its status page with the windows
of a desk and of a telephone, light and dark, and without scripts: the page shows what was done, is
nowhere wider than the window, asks for nothing from elsewhere, and the browser complains about
nothing. Pictures go to target/ci/page."""

import base64
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PICTURES = Path(__file__).resolve().parents[2] / "target/ci/page"
DESK, TELEPHONE = (1200, 900), (360, 740)
TIMEOUT = 20
# Methods that tell about something wrong.
WRONG = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Network.loadingFailed"}
# What is wider than the window, and tables that are cut or have to be moved sideways.
WIDER = """[...document.querySelectorAll('body *')].filter(of =>
    of.getBoundingClientRect().right > innerWidth + 0.5 || of.getBoundingClientRect().left < -0.5 ||
    of.matches('html, body, section, div, figure') && of.scrollWidth > of.clientWidth
).map(of => of.outerHTML.slice(0, 80))"""
complaints = []


def check(condition, what):
    if not condition:
        complaints.append(what)


class Browser:
    """A browser that is spoken to over two pipes: messages of JSON, each with a zero behind it."""

    def __init__(self, program, folder):
        command_in, self.commands = os.pipe()
        self.messages, message_out = os.pipe()

        def pipes():
            # The numbers that the browser expects; neither may be in the way of the other.
            away = os.dup(message_out), os.dup(command_in)
            os.dup2(away[1], 3)
            os.dup2(away[0], 4)

        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--disable-background-networking", "--no-first-run", "--remote-debugging-pipe",
             f"--user-data-dir={folder}", "about:blank"],
            preexec_fn=pipes, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(command_in)
        os.close(message_out)
        self.rest, self.events, self.number, self.session = b"", [], 0, {}
        pages = self.ask("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in pages if target["type"] == "page")
        attached = self.ask("Target.attachToTarget", targetId=page, flatten=True)
        self.session = {"sessionId": attached["sessionId"]}
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.ask(f"{domain}.enable")

    def message(self):
        while b"\0" not in self.rest:
            if not select.select([self.messages], [], [], TIMEOUT)[0]:
                sys.exit("the browser does not answer")
            piece = os.read(self.messages, 1 << 20)
            if not piece:
                sys.exit("the browser has ended")
            self.rest += piece
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def ask(self, method, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params, **self.session}
        os.write(self.commands, json.dumps(request).encode() + b"\0")
        while (answer := self.message()).get("id") != self.number:
            self.events.append(answer)
        if "error" in answer:
            sys.exit(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, url):
        """Loads a page; what was asked for and what was wrong."""
        self.events = []
        frame = self.ask("Page.navigate", url=url)
        check("errorText" not in frame, f"{url}: {frame.get('errorText')}")
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self.message())
        # What comes after it was not on time, but counts.
        time.sleep(0.3)
        self.ask("Page.getFrameTree")
        asked, wrong = [], []
        for event in self.events:
            if event["method"] == "Network.requestWillBeSent":
                asked.append(event["params"]["request"]["url"])
            elif event["method"] in WRONG:
                wrong.append(json.dumps(event["params"]))
        return asked, wrong

    def value(self, expression):
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"]
        return result.get("value")

    def look(self, window, scheme, scripts=True):
        width, height = window
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=window == TELEPHONE)
        self.ask("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Emulation.setScriptExecutionDisabled", value=not scripts)

    def picture(self, name):
        PICTURES.mkdir(parents=True, exist_ok=True)
        data = self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        (PICTURES / f"{name}.png").write_bytes(base64.b64decode(data))

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=10)


def start(memserver, folder):
    """A server that has been used, and the address of its page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        admin = f"127.0.0.1:{free.getsockname()[1]}"
    path = f"{folder}/clients"
    process = subprocess.Popen([memserver, "-s", path, "--admin-addr", admin, "-m", "16"])
    deadline = time.monotonic() + 10
    while not Path(path).exists():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit("the server did not start")
        time.sleep(0.05)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        work = b"".join(b"set item:%d 0 0 %d noreply\r\n%s\r\n" % (key, size, size * b"x")
                        for key, size in enumerate([10, 100, 1000, 10000] * 500))
        work += 3000 * b"get users:<b>\r\n" + b"".join(b"get item:%d\r\n" % key for key in range(1000))
        client.sendall(b"set users:<b> 0 0 1\r\nx\r\n" + work + b"get nosuch\r\nquit\r\n")
        while client.recv(1 << 20):
            pass
    return process, f"http://{admin}/"


def look(browser, url, window, scheme, name):
    asked, wrong = browser.open(url)
    for what in wrong:
        check(False, f"{name}: {what}")
    check(asked == [url, url + "style.css"], f"{name}: asks for {asked}")
    text = browser.value("document.body.innerText") or ""
    # Of a heading, what is below it; the text is as it is shown.
    for part in ["memserver", "ready", "hit ratio", "100.0 %", "Memory", "Latency", "Top commands", "Clients",
                 "get, found", "Hot keys", "users:<b>", "Hot prefixes", "users:", "item:"]:
        check(part in text, f"{name}: the page does not show {part!r}")
    classes = browser.value("document.querySelectorAll('section.card tbody tr').length")
    check(classes == 3, f"{name}: {classes} size classes")
    check(browser.value("document.querySelectorAll('svg').length") >= 4, f"{name}: no charts")
    check(browser.value("document.scrollingElement.scrollWidth <= innerWidth"),
          f"{name}: the page is wider than the window")
    for what in browser.value(WIDER):
        check(False, f"{name}: too wide: {what}")
    back = browser.value("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, back[back.index("(") + 1:-1].split(",")[:3])) / 765
    check((brightness > 0.5) == (scheme == "light"), f"{name}: the background is {back}")
    browser.picture(name)


def sees_what_is_wrong(browser):
    """Whether a page that does all that a page must not do is noticed."""
    page = ("<meta http-equiv=Content-Security-Policy content=\"img-src 'none'\"><img src=http://127.0.0.1:1/>"
            "<script>console.error('wrong')</script><p style='width:2000px'>wide")
    _, wrong = browser.open("data:text/html," + page)
    for part in ["wrong", "Content Security Policy"]:
        check(any(part in what for what in wrong), f"the check does not see what is wrong: {part}")
    check(browser.value(WIDER), "the check does not see what is too wide")


def main():
    memserver, program = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o1777)
        server, url = start(memserver, folder)
        browser = Browser(program, f"{folder}/browser")
        try:
            for window, window_name in [(DESK, "desk"), (TELEPHONE, "telephone")]:
                for scheme in ["light", "dark"]:
                    browser.look(window, scheme)
                    look(browser, url, window, scheme, f"{window_name}-{scheme}")
            browser.look(TELEPHONE, "light", scripts=False)
            look(browser, url, TELEPHONE, "light", "telephone-without-scripts")
            browser.look(TELEPHONE, "light")
            sees_what_is_wrong(browser)
        finally:
            browser.close()
            server.terminate()
            server.wait(timeout=10)
    if complaints:
        sys.exit("\n".join(complaints))
    print(f"the page is right in five ways of looking at it; pictures are in {PICTURES}")


main()
