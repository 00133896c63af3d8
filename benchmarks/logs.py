#!/usr/bin/env python3
"""Writes eight logs of 2,000 lines in the formats of known systems to FOLDER/log, for scoring what `lacon compress` saves.

    benchmarks/logs.py FOLDER        the same bytes each time; nothing in them is recorded
"""
import pathlib, random, sys

r = random.Random(7)
ip = lambda: f"10.{r.randrange(256)}.{r.randrange(16)}.{r.randrange(1, 255)}"
word = lambda n=6: "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(n))
hexa = lambda n: "".join(r.choice("0123456789abcdef") for _ in range(n))
clock = lambda i: f"{i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02}"


def sshd(i):
    host, pid = "LabSZ", r.randrange(20000, 30000)
    line = r.choice([
        f"Failed password for invalid user {word()} from {ip()} port {r.randrange(1024, 65535)} ssh2",
        f"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={ip()}",
        f"Received disconnect from {ip()}: 11: Bye Bye [preauth]", f"Invalid user {word()} from {ip()}"])
    return f"Dec 10 {clock(i * 3)} {host} sshd[{pid}]: {line}"


def hdfs(i):
    block = f"blk_{r.randrange(-9 * 10**18, 9 * 10**18)}"
    line = r.choice([
        f"INFO dfs.DataNode$DataXceiver: Receiving block {block} src: /{ip()}:{r.randrange(30000, 60000)} dest: /{ip()}:50010",
        f"INFO dfs.FSNamesystem: BLOCK* NameSystem.addStoredBlock: blockMap updated: {ip()}:50010 is added to {block} size 67108864",
        f"INFO dfs.DataNode$PacketResponder: PacketResponder {r.randrange(3)} for block {block} terminating"])
    return f"081109 {clock(i * 7).replace(':', '')} {r.randrange(1, 400)} {line}"


def hadoop(i):
    line = r.choice([
        f"INFO [AsyncDispatcher event handler] org.apache.hadoop.mapreduce.v2.app.job.impl.TaskAttemptImpl: attempt_1445144423722_0020_m_{r.randrange(10):06}_0 TaskAttempt Transitioned from RUNNING to SUCCEEDED",
        f"WARN [LeaseRenewer:msrabi@msra-sa-41:9000] org.apache.hadoop.hdfs.LeaseRenewer: Failed to renew lease for [DFSClient_NONMAPREDUCE_1537864556_1] for {r.randrange(30, 900)} seconds.  Will retry shortly ...",
        f"INFO [RMCommunicator Allocator] org.apache.hadoop.mapreduce.v2.app.rm.RMContainerRequestor: getResources() for application_1445144423722_0020: ask={r.randrange(9)} release= 0 newContainers={r.randrange(5)} finishedContainers=0 resourcelimit=<memory:{r.randrange(9000)}, vCores:{r.randrange(20)}> knownNMs=4"])
    return f"2015-10-18 {clock(i * 2)},{r.randrange(1000):03} {line}"


def spark(i):
    line = r.choice([
        f"executor.Executor: Finished task {r.randrange(40)}.0 in stage {r.randrange(9)}.0 (TID {r.randrange(2000)}). {r.randrange(900, 2500)} bytes result sent to driver",
        f"storage.MemoryStore: Block broadcast_{r.randrange(90)}_piece0 stored as bytes in memory (estimated size {r.randrange(1, 99)}.{r.randrange(9)} KB, free {r.randrange(100, 500)}.{r.randrange(9)} KB)",
        f"storage.BlockManager: Found block rdd_{r.randrange(99)}_{r.randrange(40)} locally"])
    return f"17/06/09 {clock(i)} INFO {line}"


def apache(i):
    line = r.choice([
        f"[notice] jk2_init() Found child {r.randrange(1000, 9999)} in scoreboard slot {r.randrange(12)}",
        f"[error] mod_jk child workerEnv in error state {r.randrange(5, 9)}",
        f"[error] [client {ip()}] Directory index forbidden by rule: /var/www/html/"])
    return f"[Sun Dec 04 {clock(i * 5)} 2005] {line}"


def nginx(i):
    path = r.choice(["/api/v1/quotes", "/api/v1/orders", "/health", f"/static/app.{hexa(8)}.js"])
    return f'{ip()} - - [29/Jul/2025:{clock(i)} +0000] "GET {path}?id={r.randrange(10**6)} HTTP/1.1" {r.choice([200, 200, 200, 304, 404, 502])} {r.randrange(200, 90000)} "-" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36" rt={r.random():.3f}'


def zookeeper(i):
    line = r.choice([
        f"INFO  [NIOServerCxn.Factory:0.0.0.0/0.0.0.0:2181:NIOServerCxn@1001] - Closed socket connection for client /{ip()}:{r.randrange(30000, 60000)} which had sessionid 0x14f05578bd8{hexa(4)}",
        f"WARN  [RecvWorker:188978561024:QuorumCnxManager$RecvWorker@762] - Connection broken for id 188978561024, my id = {r.randrange(4)}, error = ",
        f"INFO  [/{ip()}:3888:QuorumCnxManager$Listener@493] - Received connection request /{ip()}:{r.randrange(30000, 60000)}"])
    return f"2015-07-29 {clock(i * 4)},{r.randrange(1000):03} - {line}"


def service(i):
    line = r.choice([
        f"level=info msg=\"order filled\" order={hexa(8)}-{hexa(4)} ticker={r.choice(['AAPL', 'MSFT', 'NVDA'])} qty={r.randrange(1, 500)} price={r.randrange(90, 900)}.{r.randrange(100):02}",
        f"level=warn msg=\"slow query\" ms={r.randrange(200, 4000)} table={r.choice(['orders', 'fills', 'quotes'])} rows={r.randrange(10**5)}",
        f"level=error msg=\"vendor timed out\" vendor=quotes attempt={r.randrange(1, 4)} trace={hexa(16)}"])
    return f"time=2025-07-29T{clock(i)}.{r.randrange(1000):03}Z {line}"


folder = pathlib.Path(sys.argv[1]) / "log"
folder.mkdir(parents=True, exist_ok=True)
for make in (sshd, hdfs, hadoop, spark, apache, nginx, zookeeper, service):
    (folder / f"{make.__name__}.log").write_text("".join(make(i) + "\n" for i in range(2000)))
