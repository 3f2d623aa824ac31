"""The cheapest closed set of a weighted, ordered set of nodes: a minimum cut. Pure.

A set is closed when with every node it holds all nodes that must come before it. The cheapest
closed set is a minimum cut (Picard 1976); all cheapest sets lie between a least and a greatest
one. Flow by Dinic's method; the graphs here have few nodes, as lines of revisions are one each.
"""

from collections import deque
from collections.abc import Sequence

INFINITE = 1 << 60


def cheapest(
    weights: Sequence[int], before: Sequence[Sequence[int]]
) -> tuple[frozenset[int], frozenset[int]]:
    """The least and the greatest closed set of smallest weight.

    `weights[v]` may be negative; `before[v]` are the nodes that v needs. The empty set has
    weight 0.
    """
    flow = _Flow(len(weights) + 2)
    source, sink = len(weights), len(weights) + 1
    for node, weight in enumerate(weights):
        if weight < 0:
            flow.edge(source, node, -weight)
        elif weight > 0:
            flow.edge(node, sink, weight)
        for needed in before[node]:
            flow.edge(node, needed, INFINITE)
    flow.saturate(source, sink)
    nodes = range(len(weights))
    from_source, to_sink = flow.reached(source), flow.reaching(sink)
    return (
        frozenset(v for v in nodes if v in from_source),
        frozenset(v for v in nodes if v not in to_sink),
    )


class _Flow:
    """A residual network; edge i and i ^ 1 are each other's reverse."""

    def __init__(self, nodes: int) -> None:
        self.out: list[list[int]] = [[] for _ in range(nodes)]
        self.to: list[int] = []
        self.room: list[int] = []

    def edge(self, a: int, b: int, capacity: int) -> None:
        for start, end, room in ((a, b, capacity), (b, a, 0)):
            self.out[start].append(len(self.to))
            self.to.append(end)
            self.room.append(room)

    def saturate(self, source: int, sink: int) -> None:
        while (level := self._levels(source))[sink] >= 0:
            following = [0] * len(self.out)
            while self._push(source, sink, level, following):
                pass

    def _levels(self, source: int) -> list[int]:
        level = [-1] * len(self.out)
        level[source] = 0
        queue = deque([source])
        while queue:
            node = queue.popleft()
            for e in self.out[node]:
                if self.room[e] and level[self.to[e]] < 0:
                    level[self.to[e]] = level[node] + 1
                    queue.append(self.to[e])
        return level

    def _push(self, source: int, sink: int, level: list[int], following: list[int]) -> bool:
        """One augmenting path along rising levels, without recursion."""
        path: list[int] = []
        node = source
        while node != sink:
            edges = self.out[node]
            while following[node] < len(edges):
                e = edges[following[node]]
                if self.room[e] and level[self.to[e]] == level[node] + 1:
                    break
                following[node] += 1
            if following[node] < len(edges):
                path.append(edges[following[node]])
                node = self.to[path[-1]]
            elif path:
                node = self.to[path.pop() ^ 1]
                following[node] += 1
            else:
                return False
        amount = min(self.room[e] for e in path)
        for e in path:
            self.room[e] -= amount
            self.room[e ^ 1] += amount
        return True

    def reached(self, start: int) -> set[int]:
        """Nodes with a residual way from `start`."""
        seen, stack = {start}, [start]
        while stack:
            for e in self.out[stack.pop()]:
                if self.room[e] and self.to[e] not in seen:
                    seen.add(self.to[e])
                    stack.append(self.to[e])
        return seen

    def reaching(self, end: int) -> set[int]:
        """Nodes with a residual way to `end`."""
        seen, stack = {end}, [end]
        while stack:
            for e in self.out[stack.pop()]:
                if self.room[e ^ 1] and self.to[e] not in seen:
                    seen.add(self.to[e])
                    stack.append(self.to[e])
        return seen
