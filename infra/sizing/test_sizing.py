"""The sizing against what is measured elsewhere, and against arithmetic done by hand."""

import contextlib
import dataclasses
import io
import json
import re
import tempfile
import unittest
from pathlib import Path

import facts as fact_files
import model
import quotas
from facts import FactError
from model import Load, LoadError, Traffic

FACTS = fact_files.load()
FAN_OUT = "fan out to 100, all online (the sender among them)"
SMALL = (("send to", "all online"), ("ack in", "author online"))


def text(path):
    return (fact_files.ROOT / path).read_text(encoding="utf-8")


def run(*argv):
    """The exit code, and what was written."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = quotas.main([str(a) for a in argv])
        except SystemExit as exit_:
            code = exit_.code
    return code, out.getvalue(), err.getvalue()


class Dollars(unittest.TestCase):
    """The table in docs/costs.md is computed by the Rust meter, from prices of its own."""

    def test_each_row_comes_out_the_same(self):
        bill = FACTS.bill
        minutes = {"an hour online with 20 conversations, a sync every 7 minutes": 60}
        sync = bill("sync, 20 conversations, up to date")
        fan_out = bill(FAN_OUT)
        # Operation, function, times, route (each has its frame), answers.
        events = {
            "a message 1:1, both online, acknowledged": [
                (bill("send 1:1, both online"), "send", 1, "send", 1),
                (bill("ack 1:1, both at once, author online"), "ack", 1, "ack", 0),
            ],
            "a message 1:1, the peer's phone is woken": [
                (bill("send 1:1, peer offline with a phone"), "send", 1, "send", 1),
                (bill("push job of 1"), "push", 1, None, 0),
            ],
            "a message to a group of 10, all online, acknowledged by 9": [
                (bill("send to a group of 10, all online"), "send", 1, "send", 1),
                (bill("ack in a group of 10, author online"), "ack", 9, "ack", 0),
            ],
            "a message to a group of 1000, all online, acknowledged by 999": [
                (bill("send to a group of 1000, all online"), "send", 1, "send", 1),
                (fan_out, "fanout", 10, None, 0),
                (bill("ack in a group of 1000, author online"), "ack", 999, "ack", 0),
            ],
            "a socket, opened and closed": [
                (fact_files.Bill({}, 0, 0), "authorizer", 1, None, 0),
                (bill("connect"), "connect", 1, None, 0),
                (bill("disconnect"), "connect", 1, None, 0),
            ],
            "an hour online with 20 conversations, a sync every 7 minutes": [(sync, "sync", 60 / 7, "sync", 1)],
        }
        rows = fact_files.table(text("docs/costs.md"), "## In dollars", "docs/costs.md")
        self.assertEqual([cells[0] for cells in rows], list(events))
        for name, *documented in rows:
            t = Traffic()
            for operation, function, times, route, answers in events[name]:
                t.run(function, operation, times * 1e6, route, answers)
                t.publishes += times * 1e6 * operation.publishes
                if function in ("fanout", "push"):
                    t.push_jobs += times * 1e6
            d = model.dollars(FACTS, t, minutes.get(name, 0) * 1e6)
            gateway = d["API Gateway, messages"] + d["API Gateway, connection minutes"]
            ours = [gateway, d["Lambda, requests"], d["DynamoDB, requests"], d["SQS"], d["SNS"]]
            for mine, theirs in zip([*ours, sum(ours)], documented, strict=True):
                # Halves may be rounded either way.
                self.assertAlmostEqual(mine, float(theirs), delta=0.00501, msg=f"{name}: {ours} against {documented}")


class ByHand(unittest.TestCase):
    """A load so plain that each figure can be done in the head."""

    # One message 1:1 a second, both online, nobody has a phone, and nobody syncs or opens the app.
    PLAIN = Load(
        users=86_400, messages=1, peak=1, online_share=0, online_minutes=0, devices=1, sessions=0, recipient_online=1,
        phones=0, group10=0, group32=0, group1000=0, typing=0,
    )

    def size(self, **changes):
        return model.size(dataclasses.replace(self.PLAIN, **changes), FACTS)

    def test_one_message_a_second(self):
        s = self.size()
        self.assertEqual(s.peak.frames, {"send": 1, "ack": 1, "sync": 0, "history": 0, "typing": 0})
        send, ack = FACTS.bill("send 1:1, both online"), FACTS.bill("ack 1:1, both at once, author online")
        self.assertEqual((s.peak.posts, s.peak.reads, s.peak.writes), (2, send.reads + ack.reads, send.writes + ack.writes))
        self.assertEqual((s.peak.requests, s.peak.jobs, s.peak.publishes, s.peak.connects), (4, 0, 0, 0))

    def test_a_month_of_it_costs_what_costs_says_of_a_million(self):
        rows = fact_files.table(text("docs/costs.md"), "## In dollars", "docs/costs.md")
        million = float(next(cells[-1] for cells in rows if cells[0] == "a message 1:1, both online, acknowledged"))
        d = self.size().dollars
        without_time = sum(d.values()) - d["Lambda, time (from the latency budget)"]
        self.assertAlmostEqual(without_time / (30 * 86_400) * 1e6, million, delta=0.00501)

    def test_phones_make_a_push_job_a_message_and_the_offline_are_woken(self):
        s = self.size(phones=1, recipient_online=0.25, unacknowledged=0)
        self.assertAlmostEqual(s.peak.push_jobs, 1)
        self.assertAlmostEqual(s.peak.publishes, 0.75)

    def test_a_large_group_goes_through_the_queue(self):
        s = self.size(group1000=1, acks=0)
        self.assertEqual((s.peak.fanout_jobs, s.peak.invocations["fanout"]), (10, 10))
        self.assertAlmostEqual(s.peak.posts, 999)
        self.assertAlmostEqual(s.peak.queue_requests, 1 + 2 * 10)
        self.assertEqual(s.hot_group, 3_000)

    def test_a_large_group_acknowledges_and_rings(self):
        s = self.size(group1000=1, phones=1, recipient_online=0.5, unacknowledged=0.1, devices=2)
        send, fan_out = FACTS.bill("send to a group of 1000, all online"), FACTS.bill(FAN_OUT)
        ack = FACTS.bill("ack in a group of 1000, author online")
        self.assertEqual(s.peak.frames["ack"], 999)
        self.assertAlmostEqual(s.peak.writes, send.writes + 999 * ack.writes)
        # Half of 999, on two sockets each, and the sender's other one.
        self.assertAlmostEqual(s.peak.posts, 999 / 2 * 2 + 1)
        # A chunk has a job for those offline and one for those online, about 50 users each: 4 units for the first, 247 for
        # 99 more, and 21 for each badge.
        self.assertAlmostEqual(s.peak.push_jobs, 20)
        jobs = 20 * (4 + 48.95 * 247 / 99) + 21 * (499.5 + 0.1 * 499.5)
        self.assertAlmostEqual(s.peak.reads, send.reads + 10 * fan_out.reads + 999 * ack.reads + jobs)
        self.assertAlmostEqual(s.peak.publishes, 499.5 + 0.1 * 499.5)
        self.assertAlmostEqual(s.peak.sent, 1 + 20)
        self.assertAlmostEqual(s.hot_group, 3)

    def test_a_small_group(self):
        s = self.size(group10=1, phones=0.5, recipient_online=2 / 3, unacknowledged=0, devices=2, typing=3)
        send, ack = (FACTS.bill(f"{what} a group of 10, {who}") for what, who in SMALL)
        typing = FACTS.bill("typing in a group of 32, all online")
        self.assertEqual(s.peak.frames, {"send": 1, "ack": 9, "sync": 0, "history": 0, "typing": 3})
        # 6 of 9 are online: the message to 12 sockets and the sender's other one, 9 receipts to 2, 3 typings to 12.
        self.assertAlmostEqual(s.peak.posts, 12 + 1 + 9 * 2 + 3 * 12)
        # One job for 1.5 phones that are offline, one for 3 that are online.
        self.assertAlmostEqual(s.peak.push_jobs, 2)
        self.assertAlmostEqual(s.peak.publishes, 1.5)
        jobs = 2 * 4 + 2.5 * 247 / 99 + 21 * 1.5
        self.assertAlmostEqual(s.peak.reads, send.reads + 9 * ack.reads + 3 * typing.reads + jobs)
        self.assertAlmostEqual(s.peak.writes, send.writes + 9 * ack.writes)
        self.assertEqual((s.peak.sent, s.peak.fanout_jobs), (2, 0))

    def test_sessions_open_sockets_and_read_history(self):
        s = self.size(messages=0, sessions=2, history=3, peak=4)
        connect, disconnect = FACTS.bill("connect"), FACTS.bill("disconnect")
        sync, page = FACTS.bill("sync, 20 conversations, up to date"), FACTS.bill("history, 50 messages")
        self.assertEqual((s.peak.connects, s.peak.frames["sync"], s.peak.frames["history"]), (8, 8, 24))
        self.assertAlmostEqual(s.peak.reads, 8 * sync.reads + 24 * page.reads)
        self.assertAlmostEqual(s.peak.writes, 8 * (connect.writes + disconnect.writes))
        self.assertEqual((s.peak.invocations["authorizer"], s.peak.invocations["connect"]), (8, 16))
        self.assertEqual(s.peak.requests, 8 + 8 + 24)

    def test_limits_count_the_storm_too(self):
        s = self.size(sessions=1, online_share=0.5, storm_s=100)
        needs = {name: need for name, need, *_ in quotas.quota_rows(s, FACTS)}
        connects = s.peak.connects + 432
        self.assertAlmostEqual(needs["connects/s"], connects)
        self.assertAlmostEqual(needs["API Gateway requests/s"], s.peak.requests + 2 * 432)
        sync = FACTS.bill("sync, 20 conversations, up to date").reads
        for name in ("read units/s, all tables", "read units/s, a new table"):
            self.assertAlmostEqual(needs[name], s.peak.reads + 432 * sync)
        self.assertAlmostEqual(needs["write units/s, all tables"], s.peak.writes + 2 * 432)
        self.assertAlmostEqual(needs["frames/s of the busiest route"], s.peak.frames["sync"] + 432)

    def test_time_and_minutes_are_charged(self):
        s = self.size(sessions=0, acks=0, online_share=0.5, online_minutes=10, devices=2)
        minutes = 86_400 * 30 * 10 * 2
        self.assertAlmostEqual(s.dollars["API Gateway, connection minutes"], minutes / 1e6 * 0.25)
        sends, opened, syncs = 86_400 * 30, minutes * 60 / model.SOCKET_S, minutes * 60 / model.SYNC_S
        gb_s = 0
        for function, runs in (("send", sends), ("authorizer", opened), ("connect", 2 * opened), ("sync", syncs + opened)):
            ms = model.milliseconds(FACTS, function, "p50")
            gb_s += runs * ms / 1_000 * FACTS.template.memory[function] / 1_024
        self.assertAlmostEqual(s.dollars["Lambda, time (from the latency budget)"], gb_s * 0.0000133334)

    def test_who_is_online_syncs_and_opens_new_sockets(self):
        s = self.size(messages=0, online_share=0.5, devices=2, storm_s=100)
        self.assertEqual(s.online, 86_400)
        opened = 86_400 / model.SOCKET_S
        self.assertAlmostEqual(s.peak.connects, opened)
        self.assertAlmostEqual(s.peak.frames["sync"], 86_400 / model.SYNC_S + opened)
        self.assertAlmostEqual(s.storm.connects, 864)
        self.assertAlmostEqual(s.storm.frames["sync"], 864)
        # 5 ms each would occupy few; Lambda's 10 requests a second bind.
        self.assertAlmostEqual(s.running["authorizer"], (opened + 864) / 10)

    def test_twice_the_users_is_twice_of_everything(self):
        one, two = (model.size(Load(users=n), FACTS) for n in (1e5, 2e5))
        for name, need, *_ in quotas.quota_rows(one, FACTS):
            double = next(r[1] for r in quotas.quota_rows(two, FACTS) if r[0] == name)
            self.assertAlmostEqual(double / need, 2, msg=name)
        self.assertAlmostEqual(sum(two.dollars.values()) / sum(one.dollars.values()), 2)

    def test_a_sync_of_conversations_that_were_measured_costs_what_was_measured(self):
        for n in (1, 20):
            measured = FACTS.bill(f"sync, {n} conversation{'s' * (n > 1)}, up to date")
            self.assertAlmostEqual(model._sync(Load(conversations=n), FACTS).reads, measured.reads)


class Constants(unittest.TestCase):
    """What the model takes from the protocol and the code is what stands there."""

    def test_protocol(self):
        protocol = text("docs/protocol.md")
        low, high = map(int, re.search(r"`sync` every (\d+) to (\d+) minutes", protocol).groups())
        self.assertEqual(model.SYNC_S, (low + high) / 2 * 60)
        low, high = map(int, re.search(r"random (\d+) to (\d+) minutes", protocol).groups())
        self.assertEqual(model.SOCKET_S, (low + high) / 2 * 60)

    def test_delivery(self):
        code = text("shared/core/src/services/deliver.rs")
        for name in ("MAX_INLINE", "CHUNK"):
            value = re.search(rf"const {name}: usize = (\d+);", code).group(1)
            self.assertEqual(getattr(model, name), int(value))

    def test_template(self):
        """A size of its own counts, and the default otherwise."""
        functions = "".join(f"  {f.title()}Function:\n    Type: T\n" for f in model.FUNCTIONS if f != "send")
        defaults = (("WebSocketRateLimit", 7), ("PushMaximumConcurrency", 8))
        parameters = "".join(f"  {p}:\n    Default: {n}\n" for p, n in defaults)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "template.yaml"
            path.write_text(
                f"Parameters:\n{parameters}\nGlobals:\n  Function:\n    MemorySize: 300\n\nResources:\n{functions}"
                "  SendFunction:\n    Properties:\n      MemorySize: 600\n", encoding="utf-8",
            )
            read = fact_files.template(path)
        self.assertEqual((read.memory["send"], read.memory["ack"]), (600, 300))
        self.assertEqual(read.parameters, {"WebSocketRateLimit": 7, "PushMaximumConcurrency": 8})

    def test_every_figure_of_aws_has_a_page(self):
        for entry in [*FACTS.quotas.values(), *FACTS.prices.values()]:
            self.assertRegex(entry["source"], r"^https://(docs\.)?aws\.amazon\.com/\S+$")
            self.assertGreater(entry["value"], 0)


class BadInput(unittest.TestCase):
    def test_one_line_names_the_input(self):
        for argv, words in (
            (["--users", "0"], "users is 1 to"),
            (["--users", "nan"], "users is not a number"),
            (["--users", "many"], "'many' is not a number"),
            (["--messages", "-1"], "messages is 0 to"),
            (["--online-share", "2"], "online_share is 0 to 1"),
            (["--group10", "0.6", "--group32", "0.6"], "come to 1.2"),
            (["--online-minutes", "600"], "the peak cannot be below"),
            (["--devices", "x"], "--devices"),
            (["--write", "/nowhere/quotas.md"], "/nowhere/quotas.md: cannot be read"),
            (["--check", __file__, "--users", "5"], "default load; leave out --users"),
        ):
            with self.subTest(argv):
                code, out, err = run(*argv)
                self.assertEqual((code, out), (2, ""))
                self.assertIn(words, err.splitlines()[-1])

    def test_a_share_of_no_number(self):
        for value in (float("inf"), "1", True, None):
            with self.assertRaisesRegex(LoadError, "^peak is not a number"):
                Load(peak=value)

    def test_documents_that_do_not_say_it(self):
        good = text("docs/costs.md")
        cases = {
            "has no heading": good.replace("## Measured", "## Weighed"),
            "'send 1:1, both online': names 5 calls and counts 6": good.replace(
                "| send 1:1, both online | 5 |", "| send 1:1, both online | 6 |"
            ),
            "'connect': 'one' is not a number": good.replace(
                "| connect | 1 | UpdateItem | 1 |", "| connect | 1 | UpdateItem | one |"
            ),
            "has 4 cells, not 5": good.replace("| connect | 1 | UpdateItem | 1 | 0 |", "| connect | 1 | UpdateItem | 1 |"),
        }
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "costs.md"
            for words, broken in cases.items():
                self.assertNotEqual(broken, good)
                path.write_text(broken, encoding="utf-8")
                with self.subTest(words), self.assertRaisesRegex(FactError, re.escape(words)):
                    fact_files.bills(path)
            path.write_text("Globals:\n", encoding="utf-8")
            with self.assertRaisesRegex(FactError, "no MemorySize for the function 'authorizer'"):
                fact_files.template(path)
            with self.assertRaisesRegex(FactError, "has no table of p50 and p99"):
                fact_files.hops(path)

    def test_an_operation_that_is_gone(self):
        gone = dataclasses.replace(FACTS, bills={k: v for k, v in FACTS.bills.items() if k != "connect"})
        with self.assertRaisesRegex(FactError, "has no row 'connect'"):
            model.size(Load(), gone)


class Output(unittest.TestCase):
    def test_json_and_markdown_say_the_same(self):
        code, out, _ = run("--json", "--users", "1e6")
        self.assertEqual(code, 0)
        (s,) = json.loads(out)
        _, shown, _ = run("--users", "1e6")
        for quota in s["quotas"]:
            self.assertEqual(quota["enough"], quota["peak"] * 1.5 <= quota["default"])
            words = "enough" if quota["enough"] else f"**raise to {quota['ask_for']:,}**"
            self.assertRegex(shown, rf"(?m)^\| {re.escape(quota['limit'])} \|.*{re.escape(words)} \|$")
        self.assertIn(f"**{quotas.short(sum(s['dollars_a_month'].values()))}**", shown)

    def test_what_is_asked_for_is_rounded_up(self):
        for need, asked in ((0, 1), (0.3, 1), (1.2, 2), (9.1, 10), (45, 45), (45.1, 46), (1_071, 1_100), (99_001, 100_000)):
            self.assertEqual(quotas.ask(need), asked)

    def test_enough_is_with_headroom(self):
        self.assertEqual(quotas.verdict(600, 1_000, 1.5), "enough")
        self.assertEqual(quotas.verdict(800, 1_000, 1.5), "**raise to 1,200**")

    def test_figures_are_short(self):
        for value, shown in ((0, "0"), (0.1234, "0.12"), (7.14, "7.1"), (71.44, "71"), (714.4, "714"), (58_849, "58,800")):
            self.assertEqual(quotas.short(value), shown)

    def test_a_guide_that_is_out_of_date_is_noticed_and_renewed(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "guide.md"
            path.write_text("no marks\n", encoding="utf-8")
            self.assertEqual(run("--check", path)[0], 2)
            path.write_text(f"before\n{quotas.BEGIN}\nold\n{quotas.END}\nafter\n", encoding="utf-8")
            code, out, err = run("--check", path)
            self.assertEqual(code, 1)
            self.assertIn("-old", out.splitlines())
            self.assertIn("out of date", err)
            self.assertEqual(run("--write", path)[0], 0)
            self.assertEqual(run("--check", path)[:2], (0, ""))
            renewed = path.read_text(encoding="utf-8")
            self.assertTrue(renewed.startswith("before\n") and renewed.endswith("\nafter\n"))
            path.write_text(renewed.replace("| connects/s | AWS | 500 |", "| connects/s | AWS | 501 |"), encoding="utf-8")
            self.assertEqual(run("--check", path)[0], 1)


if __name__ == "__main__":
    unittest.main()
