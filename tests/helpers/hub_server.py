"""A hub on loopback for the tests: the calls that huggingface_hub sends to make, fill, list and read repositories.

Weights and tables go through LFS, in parts when they are large; their downloads are redirected to another host name, as
the real hub's are. It can refuse a call, or break the connection off in the middle of it.
"""

import base64
import hashlib
import json
import os
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_of_the_tests"
PART = 20_000  # bytes of a part of a large file
LFS = (".safetensors", ".parquet", ".pt")
NOT_ALLOWED = {"X-Error-Message": "Invalid credentials in Authorization header"}
REPO = r"(?P<kind>models|datasets)/(?P<repo>[\w.-]+/[\w.-]+)"


@dataclass
class Repo:
    """Its states by commit, newest last; a state is path -> content."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, files: dict[str, bytes], message: str) -> str:
        parent = "".join(list(self.commits)[-1:])
        state = sorted((path, hashlib.sha1(content).hexdigest()) for path, content in files.items())
        sha = hashlib.sha1(repr((parent, len(self.commits), state)).encode()).hexdigest()
        self.commits[sha] = files
        self.messages.append(message)
        return sha

    @property
    def files(self) -> dict[str, bytes]:
        return list(self.commits.values())[-1]


class Hub:
    """The server, in a thread: `with Hub() as hub: ... hub.url, hub.files("user/name"), hub.calls`."""

    def __init__(self):
        self.repos: dict[tuple[str, str], Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.calls: list[tuple[str, str]] = []  # method and path, as they came
        self.leaks: list[str] = []  # calls to the other host with a token
        self.faults: list[list] = []  # [method, part of the path, status or None to break off, times]
        self.lock = threading.RLock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.cdn = f"http://localhost:{self.server.server_port}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def fail(self, method: str, part: str, status: int | None = None, times: int = 1):
        """The next calls that fit are answered with `status`, or broken off in the middle."""
        self.faults.append([method, part, status, times])

    def files(self, repo_id: str, kind: str = "models") -> dict[str, bytes]:
        return self.repos[kind, repo_id].files

    def count(self, part: str) -> Counter:
        """Counts the calls of each method on paths that contain `part`."""
        return Counter(method for method, path in self.calls if part in path)


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms between its headers and its body

    def log_message(self, *_):
        pass

    def answer(self):
        url = urlsplit(self.path)
        path, method = unquote(url.path), self.command
        length = int(self.headers.get("Content-Length", 0))
        hub = self.hub
        with hub.lock:
            hub.calls.append((method, path))
            fault = next((f for f in hub.faults if f[0] == method and f[1] in path and f[3]), None)
            if fault is not None:
                fault[3] -= 1
        if fault is not None and fault[2] is None and method != "GET":
            self.rfile.read(length // 2)
            self.close_connection = True
            return
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(length)
        if fault is not None and fault[2] is not None:
            headers = NOT_ALLOWED if fault[2] == 401 else {}
            self.send(fault[2], {"error": "told to"}, headers)
            return
        with hub.lock:
            for pattern, function in ROUTES:
                methods, _, expression = pattern.partition(" ")
                if method in methods.split("|") and (match := re.fullmatch(expression, path)):
                    status, content, headers = function(self, parse_qs(url.query), body, **match.groupdict())
                    break
            else:
                status, content, headers = 404, {"error": f"no such call: {method} {path}"}, {}
        self.send(status, content, headers, broken=fault is not None)

    do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815

    def send(self, status, content, headers, broken=False):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(data))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if broken else data)
        self.close_connection = self.close_connection or broken

    # Who asks, and for what

    def allowed(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def repo(self, kind, repo, write=False) -> "Repo | tuple":
        """The repository, or the answer that there is none for this caller."""
        if (self.headers.get("Authorization") or write) and not self.allowed():
            return 401, {"error": "Invalid username or password."}, NOT_ALLOWED
        found = self.hub.repos.get((kind, repo))
        if found is None or (found.private and not self.allowed()):
            return 404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}
        return found

    def state(self, kind, repo, rev) -> tuple:
        """Commit and files of a revision, or the answer."""
        found = self.repo(kind, repo)
        if isinstance(found, tuple):
            return found
        sha = list(found.commits)[-1] if rev in (None, "main") else rev
        if sha not in found.commits:
            return 404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"}
        return sha, found.commits[sha]

    # Calls

    def create(self, query, body):
        if not self.allowed():
            return 401, {"error": "Invalid username or password."}, NOT_ALLOWED
        given = json.loads(body)
        repo = f"{given.get('organization') or 'user'}/{given['name']}"
        kind = f"{given.get('type') or 'model'}s"
        prefix = "" if kind == "models" else f"{kind}/"
        answer = {"url": f"{self.hub.url}/{prefix}{repo}", "name": repo}
        if (kind, repo) in self.hub.repos:
            return 409, {**answer, "error": "You already created this repo"}, {}
        self.hub.repos[kind, repo] = Repo(private=given.get("visibility") == "private")
        self.hub.repos[kind, repo].commit({".gitattributes": b"*.safetensors filter=lfs\n"}, "initial commit")
        return 200, answer, {}

    def validate(self, query, body):
        return 200, {"errors": [], "warnings": []}, {}

    def info(self, query, body, kind, repo, rev=None):
        found = self.state(kind, repo, rev)
        if len(found) == 3:
            return found
        siblings = [{"rfilename": path} for path in found[1]]
        return 200, {"id": repo, "sha": found[0], "private": False, "tags": [], "siblings": siblings}, {}

    def tree(self, query, body, kind, repo, rev, under=None):
        found, under = self.state(kind, repo, rev), under or ""
        if len(found) == 3:
            return found
        recursive = query.get("recursive", ["false"])[0].lower() == "true"
        paths = [path for path in found[1] if path.startswith(under and f"{under}/")]
        folders = {path[: match.start()] for path in paths for match in re.finditer("/", path)}
        entries = [*(self.entry(path, found[1][path]) for path in paths)]
        entries += [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)]
        depth = under.count("/") + 1 if under else 0
        return 200, [entry for entry in entries if recursive or entry["path"].count("/") == depth], {}

    def paths(self, query, body, kind, repo, rev):
        found = self.state(kind, repo, rev)
        if len(found) == 3:
            return found
        given = parse_qs(body.decode()) if b"=" in body[:9] else json.loads(body)
        return 200, [self.entry(path, found[1][path]) for path in given["paths"] if path in found[1]], {}

    def entry(self, path, content):
        entry = {"type": "file", "path": path, "size": len(content), "oid": git_oid(content)}
        if path.endswith(LFS):
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        return entry

    def preupload(self, query, body, kind, repo, rev):
        found = self.repo(kind, repo, write=True)
        if isinstance(found, tuple):
            return found
        answers = []
        for file in json.loads(body)["files"]:
            path, mode = file["path"], "lfs" if file["path"].endswith(LFS) else "regular"
            there = found.files.get(path)
            oid = there and (git_oid(there) if mode == "regular" else hashlib.sha256(there).hexdigest())
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return 200, {"files": answers}, {}

    def batch(self, query, body, prefix, repo):
        found = self.repo(prefix.strip("/") or "models", repo, write=True)
        if isinstance(found, tuple):
            return found
        objects = []
        for item in json.loads(body)["objects"]:
            oid, size = item["oid"], item["size"]
            upload = {"href": f"{self.hub.cdn}/lfs/{oid}"}
            if size > PART:
                numbers = range(1, -(-size // PART) + 1)
                upload["header"] = {str(n): f"{self.hub.cdn}/lfs/{oid}/{n}" for n in numbers} | {"chunk_size": PART}
            verify = {"href": f"{self.hub.url}/verify/{oid}"}
            there = oid in self.hub.blobs
            objects.append(
                {"oid": oid, "size": size} | ({} if there else {"actions": {"upload": upload, "verify": verify}})
            )
        return 200, {"transfer": "basic", "objects": objects}, {}

    def put(self, query, body, oid, part=None):
        if self.headers.get("Authorization"):
            self.hub.leaks.append(self.path)
        if part is not None:
            self.hub.parts.setdefault(oid, {})[int(part)] = body
        else:
            self.hub.blobs[oid] = body
        return 200, {}, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}

    def complete(self, query, body, oid):
        numbers = [part["partNumber"] for part in json.loads(body)["parts"]]
        self.hub.blobs[oid] = b"".join(self.hub.parts[oid][number] for number in numbers)
        return 200, {}, {}

    def verify(self, query, body, oid):
        whole = hashlib.sha256(self.hub.blobs.get(oid, b"")).hexdigest() == oid
        return (200, {}, {}) if whole else (422, {"error": "the content is not what was announced"}, {})

    def commit(self, query, body, kind, repo, rev):
        found = self.repo(kind, repo, write=True)
        if isinstance(found, tuple):
            return found
        header, *operations = (json.loads(line) for line in body.splitlines())
        files = dict(found.files)
        for operation in operations:
            value, path = operation["value"], operation["value"]["path"]
            if operation["key"] == "file":
                files[path] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[path] = self.hub.blobs[value["oid"]]
            else:
                del files[path]
        sha = found.commit(files, header["value"]["summary"])
        return 200, {"success": True, "commitOid": sha, "commitUrl": f"{self.hub.url}/{repo}/commit/{sha}"}, {}

    def resolve(self, query, body, prefix, repo, rev, path):
        found = self.state(prefix.strip("/") or "models", repo, rev)
        if len(found) == 3:
            return found
        sha, files = found
        if path not in files:
            return 404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": sha}
        content = files[path]
        if not path.endswith(LFS):
            return 200, content, {"ETag": f'"{git_oid(content)}"', "X-Repo-Commit": sha}
        oid = hashlib.sha256(content).hexdigest()
        linked = {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content)), "X-Repo-Commit": sha}
        return 302, b"", linked | {"Location": f"{self.hub.cdn}/lfs/{oid}"}

    def download(self, query, body, oid):
        if self.headers.get("Authorization"):
            self.hub.leaks.append(self.path)
        content = self.hub.blobs[oid]
        if start := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            first = int(start[1])
            return 206, content[first:], {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"}
        return 200, content, {"ETag": f'"{oid}"'}


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


FILE = r"/(?P<prefix>(?:datasets/)?)(?P<repo>[\w.-]+/[\w.-]+)"
ROUTES = [
    ("POST /api/repos/create", Handler.create),
    ("POST /api/validate-yaml", Handler.validate),
    (rf"GET /api/{REPO}", Handler.info),
    (rf"GET /api/{REPO}/revision/(?P<rev>.+)", Handler.info),
    (rf"GET /api/{REPO}/tree/(?P<rev>[^/]+)(?:/(?P<under>.+))?", Handler.tree),
    (rf"POST /api/{REPO}/paths-info/(?P<rev>.+)", Handler.paths),
    (rf"POST /api/{REPO}/preupload/(?P<rev>.+)", Handler.preupload),
    (rf"POST /api/{REPO}/commit/(?P<rev>.+)", Handler.commit),
    (rf"POST {FILE}\.git/info/lfs/objects/batch", Handler.batch),
    (r"PUT /lfs/(?P<oid>\w+)(?:/(?P<part>\d+))?", Handler.put),
    (r"POST /lfs/(?P<oid>\w+)", Handler.complete),
    (r"POST /verify/(?P<oid>\w+)", Handler.verify),
    (rf"GET|HEAD {FILE}/resolve/(?P<rev>[^/]+)/(?P<path>.+)", Handler.resolve),
    (r"GET /lfs/(?P<oid>\w+)", Handler.download),
]


# Clients


def environment(hub: Hub, home) -> dict[str, str]:
    """The environment of a fresh process that talks to this hub, with caches of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    own = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(home), "HF_TOKEN": TOKEN}
    return kept | own | {"HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}


def connect(hub: Hub, home, monkeypatch) -> None:
    """This process talks to this hub, with caches of its own, and does not wait before it tries again."""
    import huggingface_hub
    import transformers.utils.hub
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    from lass_hf.utils.hub_client import api

    close_session()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    values = {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_TOKEN_PATH": str(home / "token"),
    }
    for name, value in values.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", hub.url)
    monkeypatch.setattr(transformers.utils.hub, "_hf_api", None)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    api.cache_clear()
