"""An SFTP server over a folder, in a thread, for tests of pick-up locations there."""

import os
import socket
import threading
from contextlib import contextmanager

import paramiko

USER, PASSWORD = "carrier", "a password"


class Door(paramiko.ServerInterface):
    """Lets in one user, by password or by one key."""

    def __init__(self, key):
        self.key = key

    def get_allowed_auths(self, username):
        return "password,publickey"

    def check_auth_password(self, username, password):
        is_right = (username, password) == (USER, PASSWORD)
        return paramiko.AUTH_SUCCESSFUL if is_right else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username, key):
        is_right = username == USER and self.key is not None and key == self.key
        return paramiko.AUTH_SUCCESSFUL if is_right else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED


class Folder(paramiko.SFTPServerInterface):
    """A folder of this machine as the root of the server."""

    root = None

    def _at(self, path):
        return self.root + self.canonicalize(path)

    def list_folder(self, path):
        try:
            return [self._told(f"{self._at(path)}/{name}", name) for name in os.listdir(self._at(path))]
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    def _told(self, place, name=None):
        try:
            return paramiko.SFTPAttributes.from_stat(os.stat(place), name)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    def stat(self, path):
        return self._told(self._at(path))

    lstat = stat

    def open(self, path, flags, attr):
        try:
            opened = open(self._at(path), "rb")  # noqa: SIM115 - the handle closes it
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        handle = paramiko.SFTPHandle(flags)
        handle.readfile = handle.filename = opened
        handle.stat = lambda: self._told(self._at(path))
        return handle

    def _do(self, act, *places):
        try:
            act(*places)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        return paramiko.SFTP_OK

    def mkdir(self, path, attr):
        return self._do(os.mkdir, self._at(path))

    def posix_rename(self, oldpath, newpath):
        return self._do(os.replace, self._at(oldpath), self._at(newpath))

    rename = posix_rename


@contextmanager
def sftp_server(folder, user_key=None):
    """(port, host key) of a server; host key: paramiko's."""
    host_key = paramiko.ECDSAKey.generate()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.2)
    ended = threading.Event()
    transports = []

    def serve():
        while not ended.is_set():
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                continue
            connection.settimeout(None)
            transport = paramiko.Transport(connection)
            transports.append(transport)
            transport.add_server_key(host_key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, type("Root", (Folder,), {"root": str(folder)}))
            try:
                transport.start_server(server=Door(user_key))
            except (paramiko.SSHException, EOFError):
                continue  # the client did not like our key

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1], host_key
    finally:
        ended.set()
        thread.join(5)
        listening.close()
        for transport in transports:
            transport.close()


def know(path, port, key):
    """Write a known_hosts file that knows this server."""
    path.write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
    return path
