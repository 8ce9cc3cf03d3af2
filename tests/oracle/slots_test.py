#!/usr/bin/python3
"""Compares schedules' slots with a second implementation (Python's zoneinfo and croniter, and plain counting) on random rules of many
zones over 1990-2090, most of all near changes of clocks, leap days and ends of months; then lets a simulated clock run ten years.
slots_test.py [RULES]; TESSERA_SEED=… for others."""
import bisect
import datetime as dt
import os
import random
import subprocess
import sys
import time
from zoneinfo import ZoneInfo

from croniter import croniter

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import BUILD, seed  # noqa: E402

ZONES = ["UTC", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "Africa/Casablanca",
         "Pacific/Apia", "Europe/Dublin", "America/Sao_Paulo", "Asia/Tehran", "Pacific/Chatham", "America/Nuuk", "Africa/Cairo",
         "Antarctica/Troll", "Asia/Gaza", "Pacific/Kwajalein", "America/Caracas", "Europe/Moscow", "Pacific/Auckland"]
EPOCH = dt.datetime(1970, 1, 1)
UTC = dt.timezone.utc
SECOND, DAY = 1_000_000, 86_400_000_000
rng = random.Random(seed())
n_checks = 0


def us(t):
    d = t - EPOCH
    return d.days * DAY + d.seconds * SECOND + d.microseconds


def civil(x):
    return EPOCH + dt.timedelta(microseconds=x)


def check(got, want, what):
    global n_checks
    n_checks += 1
    if got != want:
        print(f"FAILED {what}:\n  got  {show(got)}\n  want {show(want)}")
        sys.exit(1)


def show(x):
    if isinstance(x, list):
        return [show(v) for v in x[:8]]
    return f"{civil(x)} ({x})" if isinstance(x, int) and abs(x) > DAY else x


# ---- the second implementation: zones ----

class Zone:
    """By Python's zoneinfo, with the two rules of the language: left out -> the next valid instant; shown twice -> the first."""

    def __init__(self, name):
        self.info = ZoneInfo(name)
        self.changes = self.find_changes()

    def local(self, x):
        return us(dt.datetime.fromtimestamp(0, UTC).replace(tzinfo=None)) + x + self.offset(x)

    def offset(self, x):
        return int((civil(x).replace(tzinfo=UTC).astimezone(self.info).utcoffset()).total_seconds()) * SECOND

    def find_changes(self):
        at, step, found = us(dt.datetime(1989, 12, 1)), DAY, []
        offset = self.offset(at)
        while at < us(dt.datetime(2091, 2, 1)):
            after = self.offset(at + step)
            if after != offset:
                lo, hi = at, at + step
                while hi - lo > SECOND:
                    mid = (lo + hi) // 2 // SECOND * SECOND
                    lo, hi = (mid, hi) if self.offset(mid) == offset else (lo, mid)
                found.append(hi)
                offset = after
            at += step
        return found

    def first(self, local):
        """The first instant at which the clock shows this or later."""
        t = civil(local).replace(tzinfo=self.info)
        early, late = (us((t.replace(fold=f).astimezone(UTC)).replace(tzinfo=None)) for f in (0, 1))
        if self.local(early) == local:
            return early
        # Left out: the change is between. No slot has parts of a second here, nor has a change.
        i = bisect.bisect_right(self.changes, late)
        assert i < len(self.changes) and self.changes[i] <= early, (self.info, civil(local))
        return self.changes[i]


# ---- the second implementation: rules ----

def add_months(t, months):
    count = t.year * 12 + t.month - 1 + months
    year, month = divmod(count, 12)
    last = (dt.datetime(year + month // 11, (month + 1) % 12 + 1, 1) - dt.timedelta(days=1)).day
    return t.replace(year=year, month=month + 1, day=min(t.day, last))


class Every:
    def __init__(self, months, days, seconds, offset, start):
        self.parts, self.offset, self.start = (months, days, seconds), offset, start

    def sql(self):
        def text(parts):
            return " ".join(f"{v} {u}" for v, u in zip(parts, ("months", "days", "seconds")) if v) or "0"
        return text(self.parts), text(self.offset) if self.offset else "-", "-"

    def slots(self, zone, lo, hi):
        months, days, seconds = self.parts
        om, od, osec = self.offset or (0, 0, 0)
        if not months and not days:
            step, origin = seconds * SECOND, zone.first(us(dt.datetime(2000, 1, 1))) if self.start is None else self.start
            origin += (om * 30 + od) * DAY + osec * SECOND
            n = -(-(lo - origin) // step)
            n = n if self.start is None else max(n, 0)
            return list(range(origin + n * step, hi + 1, step))
        origin = dt.datetime(2000, 1, 1) if self.start is None else civil(zone.local(self.start))
        mean = months * 30.44 * DAY + days * DAY + seconds * SECOND
        found = set()
        first, last = (int((x - us(origin)) / mean) for x in (lo, hi))
        for n in range(first - 5, last + 6):
            if self.start is not None and n < 0:
                continue
            t = add_months(origin, n * months + om) + dt.timedelta(days=n * days + od, seconds=n * seconds + osec)
            slot = zone.first(us(t))
            slot = slot if self.start is None else max(slot, self.start)
            if lo <= slot <= hi:
                found.add(slot)
        return sorted(found)


MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
DAYS = "SUN MON TUE WED THU FRI SAT SUN".split()


class Field:
    """A random field: its text, croniter's, and the values it stands for."""

    def __init__(self, lo, hi, names=None, star=0.4, dense=True):
        self.values, self.last_day, self.lasts = set(), False, set()
        self.star = rng.random() < star
        self.plain = True  # croniter reads it as we do
        if self.star:
            step = rng.choice([1, 1, 1, 2, 3, 5, 7]) if dense or hi < 24 else rng.choice([7, 11, 30])
            self.text = "*" if step == 1 else f"*/{step}"
            self.values = set(range(lo, (hi if hi != 7 else 6) + 1, step))
            self.plain = step == 1 or hi not in (31, 7)  # with a step it doesn't count as a star there
            return
        items = []
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            a, b = sorted((rng.randint(lo, hi), rng.randint(lo, hi)))
            kind = rng.choice(["one", "one", "range", "step"]) if dense else "one"
            spell = (lambda v: names[v - lo]) if names and rng.random() < 0.5 else str
            if kind == "one":
                items.append(spell(a) if rng.random() < 0.8 else spell(a).lower())
                self.values.add(a)
                continue
            if hi == 7 and (spell is not str or b == 7) and a in (0, 7):
                a = b = 3  # SUN-x and x-SUN have a test of their own
            step = 1 if kind == "range" else rng.randint(1, 9 if hi > 9 else 3)
            items.append(f"{spell(a)}-{spell(b)}" + (f"/{step}" if kind == "step" else ""))
            self.values |= set(range(a, b + 1, step))
            self.plain &= a != b and (hi != 7 or b != 7)  # it takes 5-5 for all of them
        if hi == 31 and rng.random() < 0.2:
            self.last_day = True
            items.append(rng.choice("Ll"))
            self.plain &= len(items) == 1
        if hi == 7 and rng.random() < 0.2:
            day = rng.randint(0, 7)
            self.lasts.add(day % 7)
            items = [f"{day}L" if rng.random() < 0.5 else f"{DAYS[day]}L"]
            self.values, self.plain = set(), False
        if hi == 7:
            self.values = {v % 7 for v in self.values}
        self.text = ",".join(items)


class Cron:
    def __init__(self, dense=True):
        self.start = None
        while True:
            f = [Field(0, 59, star=0.2, dense=dense), Field(0, 23, star=0.3, dense=dense), Field(1, 31), Field(1, 12, MONTHS, 0.6),
                 Field(0, 7, DAYS)]
            self.fields, self.text = f, rng.choice([" ", "  ", "\t "]).join(x.text for x in f).replace("\t", " ")
            if any(self.fits(dt.date(2000, 1, 1) + dt.timedelta(days=d)) for d in range(1500)):
                break
        # croniter takes a month before the start when it joins two fields of days.
        self.plain = all(x.plain for x in f) and (f[2].star or f[4].star or f[3].text == "*")

    def sql(self):
        return "-", "-", self.text

    def fits(self, day):
        _, _, mday, month, wday = self.fields
        if day.month not in month.values:
            return False
        next_day, next_week = day + dt.timedelta(days=1), day + dt.timedelta(days=7)
        weekday = day.isoweekday() % 7
        in_month = day.day in mday.values or (mday.last_day and next_day.month != day.month)
        in_week = weekday in wday.values or (weekday in wday.lasts and next_week.month != day.month)
        if mday.star or wday.star:
            return in_month and in_week
        return in_month or in_week

    def slots(self, zone, lo, hi):
        day, last = civil(zone.local(lo)).date() - dt.timedelta(days=2), civil(zone.local(hi)).date() + dt.timedelta(days=2)
        found = set()
        times = sorted((h * 60 + m) * 60 * SECOND for h in self.fields[1].values for m in self.fields[0].values)
        while day <= last:
            if self.fits(day):
                midnight = us(dt.datetime(day.year, day.month, day.day))
                found.update(x for x in (zone.first(midnight + t) for t in times) if lo <= x <= hi)
            day += dt.timedelta(days=1)
        return sorted(found)


# ---- questions ----

class Oracle:
    def __init__(self):
        path = os.path.join(BUILD, "oracle/slots_oracle")
        self.p = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *fields):
        self.p.stdin.write("\t".join(str(f) for f in fields) + "\n")
        self.p.stdin.flush()
        line = self.p.stdout.readline()
        if not line:
            raise SystemExit(f"slots_oracle died on {fields}")
        return line.rstrip("\n")

    def numbers(self, *fields):
        return [int(x) for x in self.ask(*fields).split()]

    def rule(self, rule, zone, start=None, end=None):
        said = self.ask("rule", *rule.sql(), zone, "-" if start is None else start, "-" if end is None else end)
        check(said, "ok", f"rule {rule.sql()} {zone}")


def random_every(start):
    kind = rng.choice(["elapsed", "days", "months", "mixed"])
    seconds = rng.choice([1, 7, 60, 300, 900, 1800, 3600, 7200, 12 * 3600, 86400, 86400 * 7, 100000, rng.randint(1, 10**6)])
    months, days = rng.choice([1, 1, 2, 3, 6, 12, 24, 7]), rng.choice([1, 1, 2, 7, 10, 14, 28, 365])
    parts = {"elapsed": (0, 0, seconds), "days": (0, days, 0), "months": (months, 0, 0),
             "mixed": (rng.choice([0, months]), days, rng.choice([0, 3600, 43200, 5400]))}[kind]
    offset = None
    if rng.random() < 0.5:
        room = parts[0] * 30 * 86400 + parts[1] * 86400 + parts[2]
        o = rng.choice([0, 1, 90 * 60, 7 * 3600, rng.randint(0, 40 * 86400)]) % room
        offset = (0, o // 86400, o % 86400) if kind != "elapsed" else (0, 0, o)
        if parts[0] > 1 and rng.random() < 0.3:
            offset = (1, o // 86400 % 28, o % 86400)
    return Every(*parts, offset, start)


def random_instant(zone):
    """Near what is apt to go wrong, or anywhere."""
    kind = rng.random()
    if kind < 0.5 and zone.changes:
        x = rng.choice(zone.changes) + rng.choice([0, -1, 1, rng.randint(-2 * DAY, 2 * DAY)])
    elif kind < 0.7:
        year = rng.randint(1990, 2089)
        x = us(rng.choice([dt.datetime(year, 2, 28), dt.datetime(year, 12, 31), dt.datetime(year, rng.randint(1, 12), 1)]))
        x += rng.randint(-DAY, DAY)
    else:
        x = rng.randint(us(dt.datetime(1990, 1, 1)), us(dt.datetime(2090, 1, 1)))
    return min(max(x, us(dt.datetime(1990, 1, 1))), us(dt.datetime(2090, 1, 1)))


def zones(o, models):
    """The clock itself, at every change of a century and at random."""
    for name, z in models.items():
        o.rule(Every(0, 1, 0, None, None), name)
        at = [c + d for c in z.changes for d in (-1, 0, 1, -SECOND, DAY)] + [random_instant(z) for _ in range(300)]
        for x in at:
            local = z.local(x)
            check(o.numbers("local", x), [local], f"{name}: local time at {show(x)}")
            whole = local // SECOND * SECOND
            check(o.numbers("reaches", whole), [z.first(whole)], f"{name}: when {civil(whole)} is reached")
            latest = o.numbers("latest", x)[0]
            for y in (latest // SECOND * SECOND, latest // SECOND * SECOND + SECOND):
                check(z.first(y) <= x, y <= latest, f"{name}: is {civil(y)} reached by {show(x)}")


def horizon(rule):
    if isinstance(rule, Cron):
        return rng.choice([2, 5, 40]) * DAY if len(rule.fields[0].values) * len(rule.fields[1].values) > 50 else 400 * DAY
    months, days, seconds = rule.parts
    return min(20 * (months * 31 * DAY + days * DAY + seconds * SECOND), 30 * 365 * DAY)


def one_rule(o, models):
    name = rng.choice(ZONES)
    z = models[name]
    x = random_instant(z)
    start = random_instant(z) // SECOND * SECOND if rng.random() < 0.4 else None
    if start is not None and rng.random() < 0.7:
        start = x - rng.randint(-2 * DAY, 60 * DAY) // SECOND * SECOND
        start = max(start // SECOND * SECOND, us(dt.datetime(1990, 1, 1)))
    rule = random_every(start) if rng.random() < 0.5 else Cron()
    hi = min(x + horizon(rule), us(dt.datetime(2090, 12, 1)))
    end = rng.randint(x, hi) if rng.random() < 0.2 and (start is None or start < x) else None
    what = f"{rule.sql()} in {name} from {start and show(start)} to {end and show(end)}, seed's rule"
    o.rule(rule, name, start, end)
    lo = x + 1 if start is None else max(x + 1, start)
    want = rule.slots(z, lo, hi if end is None else min(hi, end))
    want = want[:200]
    got = o.numbers("next", x, len(want))
    check(got, want, f"next after {show(x)} of {what}")
    if not want:
        return
    check(o.numbers("prev", want[-1] + 1, len(want)), want[::-1], f"prev of {what}")
    check(o.numbers("count", x, want[-1] + 1), [len(want)], f"count of {what}")
    i = rng.randrange(len(want))
    between = rng.randint(want[i - 1] if i else x, want[i] - 1)
    check(o.numbers("next", between, 1), [want[i]], f"next after {show(between)} of {what}")
    check(o.numbers("prev", want[i] + rng.randint(1, (want[i + 1] if i + 1 < len(want) else want[i] + 1) - want[i]), 1), [want[i]],
          f"prev near {show(want[i])} of {what}")
    if i:
        check(o.numbers("window", want[i]), [want[i - 1]], f"window of {show(want[i])} of {what}")
    if isinstance(rule, Cron) and rule.plain and name == "UTC" and end is None:
        by_croniter(o, rule, x, what)


def by_croniter(o, rule, x, what):
    """Without a clock that changes, croniter counts as we do."""
    it = croniter(rule.text.lower(), civil(x))
    want = [us(it.get_next(dt.datetime)) for _ in range(20)]
    check(o.numbers("next", x // SECOND * SECOND, 20), want, f"croniter of {what}")


def more_croniter(o, n):
    for _ in range(n):
        rule = Cron()
        if rule.plain:
            o.rule(rule, "UTC")
            by_croniter(o, rule, rng.randint(us(dt.datetime(1990, 1, 1)), us(dt.datetime(2090, 1, 1))) // SECOND * SECOND, rule.text)


def ten_years(o, models, n):
    """A scheduler whose clock goes ten years in steps of up to eleven days finds each slot once, in order."""
    began, total = time.time(), 0
    lo = us(dt.datetime(2020, 1, 1))
    hi = us(dt.datetime(2030, 1, 1))
    for i in range(n):
        name = ZONES[i % len(ZONES)]
        if i % 3 == 0:
            rule = Every(0, 0, rng.choice([3600, 21600, 5400, 86400]), None, None)
        elif i % 3 == 1:
            rule = random_every(None)
            if rule.parts[0] + rule.parts[1] == 0:
                rule = Every(0, 1, 0, (0, 0, 9000), None)
        else:
            rule = Cron(dense=False)
        o.rule(rule, name)
        want = rule.slots(models[name], lo + 1, hi)
        check(o.numbers("clock", lo, hi, rng.randrange(1 << 30)), want, f"ten years of {rule.sql()} in {name}")
        total += len(want)
    print(f"{n} schedules ran ten years, {total} slots, in {time.time() - began:.1f} s")


def main():
    o, n = Oracle(), int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    models = {name: Zone(name) for name in ZONES}
    zones(o, models)
    for _ in range(n):
        one_rule(o, models)
    more_croniter(o, n // 3)
    ten_years(o, models, 60)
    print(f"{n_checks} passed, 0 failed")


if __name__ == "__main__":
    main()
