"""Frames on a Unix stream socket: a 4-byte big-endian length, then one MessagePack map."""

import os
import socket
from collections import deque
from typing import Any

import msgpack

HEADER_BYTES = 4
# A frame is a few hundred bytes; anything near this is a broken or hostile peer.
MAX_FRAME_BYTES = 16 * 1024 * 1024
# The kernel passes at most 253 descriptors in one message.
MAX_DESCRIPTORS = 253

Frame = dict[str, Any]


class FrameError(Exception):
    """The peer does not speak this protocol."""


def encode(frame: Frame) -> bytes:
    body = msgpack.packb(frame, use_bin_type=True)
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def send(sock: socket.socket, frame: Frame) -> None:
    sock.sendall(encode(frame))


class Receiver:
    """Cuts the bytes that arrive into frames, and keeps the descriptors that came with them.

    The kernel never merges bytes across two messages that carry descriptors, so descriptors
    arrive in the order of the frames they belong to: a queue is enough to pair them.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = bytearray()
        self.descriptors: deque[int] = deque()

    def receive(self) -> list[Frame] | None:
        """Waits for bytes; returns the frames that became complete, or None at end of file."""
        data, descriptors, flags, _ = socket.recv_fds(self.sock, 65536, MAX_DESCRIPTORS)
        self.descriptors.extend(descriptors)
        if flags & socket.MSG_CTRUNC:
            raise FrameError("file descriptors were cut off; too many are open in this process")
        if not data:
            return None
        self.buffer += data
        return self._complete()

    def _complete(self) -> list[Frame]:
        frames = []
        while len(self.buffer) >= HEADER_BYTES:
            length = int.from_bytes(self.buffer[:HEADER_BYTES], "big")
            if length > MAX_FRAME_BYTES:
                raise FrameError(f"a frame of {length} bytes is announced; at most {MAX_FRAME_BYTES} are accepted")
            end = HEADER_BYTES + length
            if len(self.buffer) < end:
                break
            frames.append(msgpack.unpackb(bytes(self.buffer[HEADER_BYTES:end]), raw=False))
            del self.buffer[:end]
        return frames

    def take_descriptors(self, count: int) -> list[int]:
        if len(self.descriptors) < count:
            raise FrameError(f"a run frame came without its {count} file descriptors")
        return [self.descriptors.popleft() for _ in range(count)]

    def close(self) -> None:
        while self.descriptors:
            os.close(self.descriptors.popleft())
        self.sock.close()
