"""proxy_bind: from which address a backend is connected."""
import re
import subprocess

from harness import Postern, Wire, eventually, netns
from peers import Listener, imap_backend
from stage import Stage

CLIENT = "192.0.2.7"        # nobody's here: documentation addresses
NONE, NET_RAW = "0000000000000000", "0000000000002000"
UNAVAILABLE = b"a NO [UNAVAILABLE]"


class Callers:
    """A backend of IMAP that notes who connects."""

    def __init__(self, env, address):
        self.seen = []
        self.listener = env.keep(Listener(address, self.serve))

    def serve(self, wire):
        self.seen.append(wire.sock.getpeername()[0])
        imap_backend(wire)


def log_in(address, header=None):
    """What a client hears of its login."""
    client = Wire.to(address)
    if header:
        client.send(header)
    client.expect(b"* OK IMAP4 ready")
    client.send(b"a LOGIN joe secret\r\n")
    line = client.line()
    client.close()
    return line


def real(client, port=4711):
    """The header of a trusted proxy."""
    family, to = ("TCP6", "2001:db8::1") if ":" in client else ("TCP4", "198.51.100.1")
    return f"PROXY {family} {client} {to} {port} 143\r\n".encode()


def capabilities(pid):
    """The sets of a process, that of programs it could run aside."""
    with open(f"/proc/{pid}/status") as status:
        return {name: value for name, value in re.findall(r"(Cap\w+):\t(\w+)", status.read()) if name != "CapBnd"}


def servers(env, *settings, listen=""):
    """A server for each, from port 2143 up."""
    return "".join(f"server {{ listen {env.ip()}:{2143 + i} {listen}; protocol imap; {text} }}\n"
                   for i, text in enumerate(settings))


def users(env):
    return f"auth_file {env.write('users', 'joe:{PLAIN}secret' + chr(10), 0o644)};\n"


def test_a_backend_is_connected_from_the_address_and_the_auth_server_is_not(env):
    seen = []

    def backend(wire):
        seen.append(wire.sock.getpeername()[0])
        imap_backend(wire)
    stage = Stage(env, "imap", {"mail's": "", "own": f"proxy_bind {env.ip(8)};", "off": "proxy_bind off;"},
                  mail=f"proxy_bind {env.ip(9)};", backend=backend)
    for server, address in (("mail's", env.ip(9)), ("own", env.ip(8)), ("off", env.ip(2)), ("mail's", env.ip(9))):
        client = stage.client(server)
        client.send(b"a LOGIN joe secret\r\n")
        client.expect(b"a OK backend LOGIN")
        found = seen.pop()
        # The system's choice for a loopback address is 127.0.0.1 or that address itself.
        assert found == address or (server == "off" and found not in (env.ip(8), env.ip(9))), (server, found)
    assert not {env.ip(8), env.ip(9)} & {wire.sock.getpeername()[0] for wire in stage.auth.wires}
    assert "cannot work now" not in stage.postern.log()
    worker, = stage.postern.children()
    assert set(capabilities(worker).values()) == {NONE}


def test_an_address_that_is_not_there_is_a_temporary_failure(env):
    postern = env.postern(users(env) + servers(env, f"proxy_bind {CLIENT}; proxy_pass {env.ip(2)}:2000;"))
    callers = Callers(env, (env.ip(2), 2000))
    status, said = postern.run("-t")
    assert status == 0 and re.search(rf"\[warn\] \"proxy_bind\" cannot work now: bind\({CLIENT}\) failed "
                                     r"\(99: .*\) in .*/postern.conf:\d+", said), said
    for _ in range(2):
        assert log_in((env.ip(), 2143)).startswith(UNAVAILABLE)
    postern.wait_log(rf"\[error\] .* bind\({CLIENT}\) failed \(99: Cannot assign requested address\) while connecting "
                     rf"to upstream, client: 127.*, login: \"joe\", upstream: {re.escape(env.ip(2))}:2000", 2)
    assert callers.listener.accepted == 0


@netns
def test_the_next_peer_is_tried_where_one_cannot_be_reached_from_the_address(env):
    subprocess.run(["mount", "--bind", env.write("hosts", "::1 two.example\n127.0.0.2 two.example\n"), "/etc/hosts"], check=True)
    callers = Callers(env, ("127.0.0.2", 2000))
    six = Callers(env, ("::1", 2000))
    postern = env.postern(users(env) + servers(env, "proxy_bind 2001:db8::9; proxy_pass two.example:2000;"))
    assert log_in((env.ip(), 2143)) == b"a OK backend LOGIN\r\n"
    postern.wait_log(r"bind\(2001:db8::9\) failed .* upstream: \[::1\]:2000")
    # The other family knows no such address: the system chooses.
    assert callers.seen[0].startswith("127.") and not six.seen
    subprocess.run(["ip", "address", "add", "2001:db8::9/128", "dev", "lo", "nodad"], check=True)
    assert log_in((env.ip(), 2143)) == b"a OK backend LOGIN\r\n"
    assert six.seen == ["2001:db8::9"]


def test_a_unix_backend_needs_no_address_but_is_not_taken_for_the_clients(env):
    path = str(env.path("backend"))
    backend = env.keep(Listener(path, imap_backend))
    postern = env.postern(users(env) + servers(
        env, f"proxy_bind {env.ip(9)}; proxy_pass unix:{path};", f"proxy_bind $remote_addr transparent; proxy_pass unix:{path};"))
    status, said = postern.run("-t")
    assert status == 0 and f"connections to unix:{path} do not come from this address in" in said
    assert f"unix:{path} cannot be connected from clients' addresses in" in said
    assert log_in((env.ip(), 2143)) == b"a OK backend LOGIN\r\n"
    assert log_in((env.ip(), 2144)).startswith(UNAVAILABLE)
    postern.wait_log("upstream cannot be connected from the client's address while connecting to upstream")
    assert backend.accepted == 1


def route_back(*backends):
    """What backends send comes to this machine, whosever address it is for: the recipe of the manual."""
    run = lambda *words: subprocess.run(["ip", *words], check=True)
    for backend in backends:
        family = "-6" if ":" in backend else "-4"
        run(family, "rule", "add", "from", backend, "iif", "lo", "ipproto", "tcp", "sport", "2000", "lookup", "100")
    for family in {"-6" if ":" in backend else "-4" for backend in backends}:
        run(family, "route", "add", "local", "default", "dev", "lo", "table", "100")


@netns
def test_a_backend_sees_the_clients_own_address(env):
    route_back("127.0.0.2", "2001:db8::2")
    subprocess.run(["ip", "address", "add", "2001:db8::2/128", "dev", "lo", "nodad"], check=True)
    four, six = Callers(env, ("127.0.0.2", 2000)), Callers(env, ("2001:db8::2", 2000))
    door = env.path("door")
    text = users(env) + "set_real_ip_from 127.0.0.0/8;\nset_real_ip_from unix:;\n" + servers(
        env, "{bind} proxy_pass 127.0.0.2:2000;", "{bind} proxy_pass [2001:db8::2]:2000;", listen="proxy_protocol") + \
        f"server {{ listen unix:{door}; protocol imap; {{bind}} proxy_pass 127.0.0.2:2000; }}\n"
    off, transparent = (text.replace("{bind}", bind) for bind in ("", "proxy_bind $remote_addr transparent;"))
    postern = env.postern(transparent)
    assert "cannot work now" not in postern.log()

    def check(is_transparent):
        worker, = eventually(lambda: len(postern.children()) == 1 and postern.children(), "one worker")
        assert capabilities(worker) == dict(dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapAmb"), NONE),
                                            **(dict.fromkeys(("CapPrm", "CapEff"), NET_RAW) if is_transparent else {}))
        for port, client, callers in ((2143, CLIENT, four), (2144, "2001:db8:7::7", six)):
            callers.seen.clear()
            assert log_in((env.ip(), port), real(client)) == b"a OK backend LOGIN\r\n"
            assert (callers.seen == [client]) == is_transparent, callers.seen
        # Whom the backend would take for the gateway is not shown to it.
        for address, header in (((env.ip(), 2143), real("2001:db8:7::7")), ((env.ip(), 2144), real(CLIENT)), (str(door), None)):
            heard = log_in(address, header)
            assert heard.startswith(UNAVAILABLE) == is_transparent, (address, heard)
    check(True)
    postern.wait_log("upstream cannot be connected from the client's address while connecting to upstream, client: unix:")
    postern.write(off, level="debug")
    postern.reload()
    check(False)
    postern.write(transparent, level="debug")
    postern.reload()
    check(True)


def test_who_may_not_be_transparent_says_so_and_connects_nobody(env):
    callers = Callers(env, (env.ip(2), 2000))
    env.folder.chmod(0o777)
    postern = Postern(env, config=f"""
error_log {env.path("error.log")};
pid {env.path("postern.pid")};
auth_helper_path {env.build};
events {{}}
mail {{ {users(env)} {servers(env, f"proxy_bind $remote_addr transparent; proxy_pass {env.ip(2)}:2000;")} }}
""")
    command = postern.command
    postern.command = lambda *more: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
                                     *command(*more)]
    status, said = postern.run("-t")
    assert status == 0 and re.search(r"\[warn\] \"proxy_bind\" cannot work now: setsockopt\(\) failed "
                                     r"\(1: Operation not permitted\) in .*postern.conf:\d+", said), said
    env.keep(postern).start()
    assert log_in((env.ip(), 2143)).startswith(UNAVAILABLE)
    postern.wait_log(r"setsockopt\(\) failed \(1: Operation not permitted\) while connecting to upstream")
    assert callers.listener.accepted == 0
