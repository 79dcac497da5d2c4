"""A transport layer of our own under Twisted's interfaces: one epoll beside the stock reactor.

Why it exists, measured on two shared cores in one run: Twisted's stock TCP and TLS transports cost
3 to 4 times as much per small message and 2.5 times as much per connection as a bare epoll loop in
Python, and 95 to 100 % of that loop's speed is left when its epoll is one reader of the stock
reactor. For a whole pair of proxy and agent, stock transports gave 605 MB/s down, 3862 echoes/s
with one tunnel and 18,600 with sixteen, and an echo starved beside a bulk download; this way it was
779, 5998, 36,000, and 1574 a second beside the download.

    loop          the epoll, its turns and the flush at each turn's end
    turn_sizes    how much it does in one turn
    leisure       what it puts off until nothing else is ready
    busy_poll     what it does before it sleeps
    reads         how much one read takes
    channel       what it serves
    output        what is written: gathered, sent, queued; producers
    kind          what that asks of plain and TLS transports
    plain_output  how plain sockets send it
    unhurried     what they leave for later
    transport     plain stream sockets
    tls           TLS with pyOpenSSL directly on the socket
    ports         listening
    unix_ports    at a path
    given_ports   on a socket that listens already
    connecting    one attempt to connect
    reactor       the stock reactor, except that its connections and ports are the hub's
    endpoints     TLS clients
    dialing       the agent's way to destinations

What it does not do: protocols know nothing of it and run unchanged on stock transports, datagrams,
other platforms than Linux, `startTLS`, passing file descriptors.
"""
