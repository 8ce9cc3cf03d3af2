"""Random nestings of what makes an array of an array: slices, conditions, values at other cells, windows, joins, functions of arrays.

No model: an array's text alone, of two integer dimensions i and j and a DOUBLE v, for tests that ask for one answer in several ways."""


class Nesting:
    def __init__(self, rng):
        self.rng = rng
        self.names = 0

    def statements(self):
        """Two arrays, the first one with EMPTY cells and NULLs."""
        tile = self.rng.choice(["", " TILE 3"])
        return [f"CREATE ARRAY nest_a (i INTEGER DIMENSION [0 : 11]{tile}, j INTEGER DIMENSION [0 : 6]{tile}, v DOUBLE)",
                "INSERT INTO nest_a SELECT [i], [j], CASE WHEN (i + j) % 6 = 5 THEN NULL ELSE i * 7 + j END FROM GRID [i => 0 : 11, j => 0 : 6] WHERE (3 * i + j) % 5 <> 2",
                f"CREATE ARRAY nest_e (i INTEGER DIMENSION [2 : 13]{tile}, j INTEGER DIMENSION [-1 : 5], v DOUBLE)",
                "INSERT INTO nest_e SELECT [i], [j], i * j FROM GRID [i => 2 : 13, j => -1 : 5]"]

    def named(self, text, alias=None):
        self.names += 1
        return f"{text} AS {alias or f'q{self.names}'}"

    def condition(self):
        d, x = self.rng.choice("ij"), self.rng.randint(0, 8)
        y = x + self.rng.randint(0, 4)
        return self.rng.choice([f"{d} >= {x}", f"{d} < {x}", f"{d} = {x}", f"{d} BETWEEN {x} AND {y}", f"{d} <> {x}", f"v > {x} * 5", "v IS NOT NULL",
                                f"#{d} > {x}", f"{d} % 2 = 1 AND {d} < {y}", f"{d} IN ({x}, {y})"])

    def maybe(self):
        return f" WHERE {self.condition()}" if self.rng.random() < 0.3 else ""

    def base(self):
        lo = self.rng.randint(2, 5)
        slices = ["", "", f"[i => {lo} : {lo + self.rng.randint(0, 5)}]", "[j => 1 : 4]", "[#i => 1 : 6]", f"[i => {lo} : {lo + 2 * self.rng.randint(0, 2)} : 2]"]
        return self.rng.choice(["nest_a", "nest_e"]) + self.rng.choice(slices)

    def array(self, depth):
        if depth == 0:
            return self.base()
        rng, below = self.rng, self.array(depth - 1)
        source, where, d = self.named(below), self.maybe(), rng.choice("ij")
        frame = rng.choice(["i - 1 : i + 1", "* : i", "j : j + 2", "#i - 2 : #i, j - 1 : j"]) + "]" + rng.choice(["", " EDGE WRAP", " EDGE NEAREST", " EDGE NULL"])
        axes = rng.choice(["i => 0 : 10 : 2.5", "j => 0 : 6 : 0.5", "i => 3 : 9 : 0.75, j => 1 : 5 : 2", "j => 5 : 5"])
        kinds = [lambda: f"(SELECT [i], [j], v FROM {source} WHERE {self.condition()})", lambda: f"(SELECT [i], [j], v FROM {source} WHERE {self.condition()})",
                 lambda: f"(SELECT [i], [j], v[#i - {rng.randint(0, 2)}, #j + {rng.randint(-1, 1)}] AS v FROM {source}{where})",
                 lambda: f"(SELECT [i], [j], sum(v) OVER ([{frame}) AS v FROM {source}{where})",
                 lambda: f"(SELECT [i], [j], row_number() OVER (PARTITION BY {d} ORDER BY i, j)::double AS v FROM {source}{where})",
                 lambda: f"(SELECT [i], [j], sum(v) AS v FROM {source}{where} GROUP BY i, j)",
                 lambda: f"(SELECT [i], [j], re AS v FROM fft({below}, {d}) AS f)",
                 lambda: f"(SELECT [i], [j], x.v + coalesce(y.v, 1) AS v FROM {below} AS x {rng.choice(['', 'LEFT '])}JOIN {self.array(depth - 1)} AS y USING (i, j))",
                 lambda: f"regrid({below}, [{axes}], '{rng.choice(['nearest', 'linear', 'cubic', 'mean'])}')",
                 lambda: f"roll({below}, {d}, {rng.randint(-5, 5)})", lambda: f"filled({below}, v => {rng.choice(['0', '-1', 'NULL'])})",
                 lambda: f"diff({below}, {d})", lambda: f"transpose({below})"]
        return rng.choice(kinds)()

    def query(self):
        return f"SELECT i, j, round(v, 6) + 0.0 FROM {self.named(self.array(self.rng.randint(1, 4)))} WHERE {self.condition()} ORDER BY i, j"
