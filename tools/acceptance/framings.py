"""Framings that a file describes: HTTP's chunks as real programs write them, and others."""
import hashlib
import http.client
import http.server
import os
import random
import struct
import subprocess
import threading

from harness import ROOT, Receiver, Scratch, check, connect, equal, require, tool

CHUNKED = "described:" + os.path.join(ROOT, "configs", "http-chunked.json5")
KAFKA = "described:" + os.path.join(ROOT, "configs", "kafka-like.json5")


def pieces(count, largest, seed):
    """Bodies of 1 byte to `largest`."""
    source = random.Random(seed)
    return [source.randbytes(int(largest ** source.random())) for _ in range(count)]


class Server(http.server.ThreadingHTTPServer):
    """Answers each request with `body`, a chunk for each piece."""
    daemon_threads = True

    def __init__(self, body):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.send_header("Trailer", "Digest")
                self.end_headers()
                for piece in body:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                digest = hashlib.sha256(b"".join(body)).hexdigest()
                self.wfile.write(b"0\r\nDigest: %b\r\n\r\n" % digest.encode())

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *arguments):
        self.shutdown()
        super().__exit__(*arguments)


def payload_of(scratch):
    names = os.listdir(scratch)
    equal(len(names), 1, "files")
    with open(os.path.join(scratch, names[0]), "rb") as file:
        return file.read()


@check
def a_chunked_http_response_through_curl():
    """Server, curl and nc are other people's programs; the body comes out joined."""
    curl, nc = tool("curl"), tool("nc")
    body = pieces(2000, 200_000, 1)
    with Scratch() as scratch, Server(body) as server, Receiver(
            "--parse", CHUNKED, "--sink", f"file:{scratch},bytes=payload", "-1") as receiver:
        fetch = subprocess.Popen(
            [curl, "--raw", "--include", "--no-buffer", "--silent", "--noproxy", "*",
             f"http://127.0.0.1:{server.server_address[1]}/"], stdout=subprocess.PIPE)
        subprocess.run([nc, "-N", "127.0.0.1", str(receiver.port)], stdin=fetch.stdout,
                       check=True, timeout=60)
        equal(fetch.wait(10), 0, "curl's exit code")
        equal(receiver.finish(), 0, "exit code")
        equal(receiver.events("fault"), [], "faults")
        # Each chunk, and the last one without payload.
        equal(receiver.counters["records"], len(body) + 1, "records")
        require(payload_of(scratch) == b"".join(body), "the body differs from what was served")
        return f"{len(body)} chunks, {sum(map(len, body)) >> 20} MiB"


@check
def chunked_http_uploads_by_python():
    """The client's own encoder, four requests on four connections."""
    body = pieces(500, 60_000, 2)
    with Scratch() as scratch, Receiver(
            "--parse", CHUNKED, "--sink", f"file:{scratch},bytes=payload",
            "--connections", 4) as receiver:
        for _ in range(4):
            client = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=30)
            client.request("POST", "/", body=iter(body), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})
            client.close()
        equal(receiver.finish(), 0, "exit code")
        equal(receiver.counters["records"], 4 * (len(body) + 1), "records")
        for name in os.listdir(scratch):
            with open(os.path.join(scratch, name), "rb") as file:
                require(file.read() == b"".join(body), f"{name} differs from what was sent")
        equal(len(os.listdir(scratch)), 4, "files")
        return f"{4 * len(body)} chunks"


@check
def http_that_is_not_chunked_or_stops():
    """Each is told with its byte, and ends in exit code 6."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    cases = [
        (head + b"ok", "chunk-size", len(head)),
        (head + b"2\r\nok\r\n5\r\nhel", "truncated", len(head) + 7),
        (head + b"2\r\nok\r\n", "truncated", len(head) + 7),
        (b"x" * 70_000, "no-empty-line", 65_536),
    ]
    for sent, kind, offset in cases:
        with Receiver("--parse", CHUNKED, "-1") as receiver:
            peer = connect(receiver.port)
            peer.sendall(sent)
            peer.close()
            equal(receiver.finish(), 6, f"exit code after {kind}")
            faults = [(fault["kind"], fault["offset"]) for fault in receiver.events("fault")]
            equal(faults, [(kind, offset)], "faults")
    return f"{len(cases)} streams"


@check
def a_framing_described_by_its_header():
    """Sizes of four bytes before requests, from many connections; then magic and trailer."""
    with Scratch() as scratch:
        out = os.path.join(scratch, "out")
        os.mkdir(out)
        requests = pieces(300, 100_000, 3)
        stream = b"".join(struct.pack(">I", len(piece)) + piece for piece in requests)
        with Receiver("--parse", KAFKA, "--sink", f"file:{out},bytes=payload",
                      "--connections", 8) as receiver:
            peers = [connect(receiver.port) for _ in range(8)]
            for start in range(0, len(stream), 50_000):
                for peer in peers:
                    peer.sendall(stream[start:start + 50_000])
            for peer in peers:
                peer.close()
            equal(receiver.finish(), 0, "exit code")
            equal(receiver.counters["records"], 8 * len(requests), "records")
            for name in os.listdir(out):
                with open(os.path.join(out, name), "rb") as file:
                    require(file.read() == b"".join(requests), f"{name} differs")
        described = os.path.join(scratch, "own.json5")
        with open(described, "w") as file:
            file.write('{ form: "length", header: 9, magic: { at: 0, bytes: "fe ed" },\n'
                       '  length: { at: 3, bytes: 3, endian: "little", counts: "all" },\n'
                       '  trailer: 4, max: "1M" }\n')
        own = b"".join(
            b"\xfe\xed\x01" + (len(p) + 13).to_bytes(3, "little") + b"abc" + p + b"tail"
            for p in requests)
        with Receiver("--parse", "described:" + described, "--connections", 2) as receiver:
            for sent in (own, own + b"\xfe\xee"):
                peer = connect(receiver.port)
                peer.sendall(sent)
                peer.close()
            equal(receiver.finish(), 6, "exit code")
            equal(receiver.counters["records"], 2 * len(requests), "records")
            faults = [(fault["kind"], fault["offset"]) for fault in receiver.events("fault")]
            equal(faults, [("unexpected-byte", len(own) + 1)], "faults")
        return f"{8 * len(requests)} and {2 * len(requests)} records"
