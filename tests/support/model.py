"""Whole nodes stepped by hand: real keeper, engine, ticker, dispatcher, rescuer, executor,
recorder, run folders and database; the clock, the spawner and the agents are simulated.

Each node has a thread for its engine and one for its keeper, as in life, but only one thread of all
moves at a time: a step runs until it is done, or until it hangs where it was told to. It may hang
before and after every call to its store, and before every file or request of a launch. A node that
hangs goes on exactly there, however much later, or is killed there.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from claude_tasks.domain.errors import SpawnError
from claude_tasks.execution.contract import EndedBy, ExitFacts, Said
from claude_tasks.execution.run_folder import RunFolder
from claude_tasks.scheduling.beats import BeatKeeper, BeatWatch
from claude_tasks.scheduling.dispatcher import Dispatcher
from claude_tasks.scheduling.engine import Engine
from claude_tasks.scheduling.leadership import Leadership, LeaseKeeper
from claude_tasks.scheduling.lifetime import LifetimeLock, NodeRegistry
from claude_tasks.scheduling.rescuer import Rescuer
from claude_tasks.scheduling.ticker import Ticker
from claude_tasks.storage.sqlite.store import open_store
from claude_tasks.system.file_lock import try_lock
from claude_tasks.wiring.node import build_execution, lease_times
from support.builders import node
from support.fresh_database import lay

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.store_records import Claimed
    from claude_tasks.execution.contract import RunSpec, TaskSnapshot
    from claude_tasks.settings import Settings
    from support.clock import FakeClock

LIMIT = 3
POISON = "poison"
"""A task of this name cannot be launched, whatever the machine."""
_NO_PROCESS = 2**30
"""A pid beyond any: a cancel goes to nobody."""
_SECONDS = 30.0


class Killed(BaseException):
    """Unwinds a thread of a node that was killed where it hung."""


class Thread:
    """A real thread that moves only while it is stepped, and hangs where it was told to."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._moving = False
        self._work: Callable[[], Any] | None = None
        self._until_hang = 0
        self._killed = False
        self._error: BaseException | None = None
        self.hangs = False
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], Any], *, hang_after: int = 0) -> None:
        """Do some work, up to its end or its ``hang_after``-th place to hang (0: none)."""
        assert not self.hangs
        self._work, self._until_hang = work, hang_after
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, daemon=True)
            self._moving = True
            self._thread.start()
            self._wait()
        else:
            self._move()

    def resume(self, *, hang_after: int = 0) -> None:
        """Go on where it hangs."""
        if self.hangs:
            self._until_hang = hang_after
            self._move()

    def kill(self) -> None:
        """End it where it stands."""
        self._killed = True
        if self._thread is not None:
            self._work = None
            self._move()
            self._thread.join(_SECONDS)
            self._thread = None

    def place_to_hang(self) -> None:
        """Called by the work itself, at every place where it may hang."""
        if threading.current_thread() is not self._thread:
            return
        self._until_hang -= 1
        if self._until_hang == 0:
            self.hangs = True
            self._yield()
            self.hangs = False
            if self._killed:
                raise Killed

    def _move(self) -> None:
        with self._turn:
            self._moving = True
            self._turn.notify_all()
        self._wait()

    def _wait(self) -> None:
        with self._turn:
            assert self._turn.wait_for(lambda: not self._moving, _SECONDS), "a step never ended"
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _yield(self) -> None:
        with self._turn:
            self._moving = False
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._moving)

    def _loop(self) -> None:
        while self._work is not None:
            try:
                self._work()
            except Killed:
                break
            except BaseException as error:  # noqa: BLE001 (it is raised where the step was asked for)
                self._error = error
            self._yield()
        with self._turn:
            self._moving = False
            self._turn.notify_all()


class Hanging:
    """A store, or another part of a node, before and after whose calls its thread may hang."""

    def __init__(self, part: Any, thread: Thread) -> None:
        self._part = part
        self._thread = thread

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._part, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **more: Any) -> Any:
            self._thread.place_to_hang()
            result = value(*arguments, **more)
            self._thread.place_to_hang()
            return result

        return call


class World:
    """The agents and their supervisors: they do not die with the node that started them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.starts: Counter[tuple[int, int]] = Counter()
        self._locks: dict[str, tuple[int, int]] = {}

    @property
    def living(self) -> list[tuple[int, int]]:
        """The claims whose supervisors live."""
        return sorted(claim_of(path) for path in self._locks)

    def supervise(self, path: str, *, at: int) -> bool:
        """What a spawner and its fork do with a request; False when there was nothing to start."""
        folder = RunFolder(path)
        try:
            lock = try_lock(folder.spec, create=False)
        except OSError:
            return False
        if lock is None:
            return False
        if os.fstat(lock).st_nlink == 0 or os.path.exists(folder.exit):
            os.close(lock)
            return False
        folder.mark_started(_NO_PROCESS, at=at, monotonic=0.0)
        prompt = try_lock(folder.prompt)
        assert prompt is not None
        self._locks[path] = (lock, prompt)
        self.starts[claim_of(path)] += 1
        return True

    def end(self, claim: tuple[int, int], *, at: int, ended_by: EndedBy = EndedBy.EXIT) -> None:
        """An agent ends, and its supervisor says how."""
        folder = RunFolder.of(self.settings.folder.runs, *claim)
        lock, prompt = self._locks.pop(folder.path)
        said = Said(output="done", has_result=True)
        folder.close(ExitFacts(ended_by, started_at=at, ended_at=at, exit_code=0, transcript=said))
        os.close(prompt)
        os.close(lock)

    def end_all(self, *, at: int) -> None:
        for claim in self.living:
            self.end(claim, at=at)


class SimulatedSpawner:
    """`claude_tasks.execution.spawner.Spawner` over the world's agents."""

    descriptor = None
    silent_for = 0.0

    def __init__(self, world: World, clock: FakeClock, thread: Thread) -> None:
        self._world = world
        self._clock = clock
        self._thread = thread
        self._asked: set[str] = set()

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def is_there(self) -> bool:
        return True

    def request(self, path: str) -> None:
        self._thread.place_to_hang()
        self._world.supervise(path, at=self._clock.now())
        self._asked.add(path)
        self._thread.place_to_hang()

    def released(self) -> tuple[list[str], bool]:
        alive = {
            RunFolder.of(self._world.settings.folder.runs, *c).path for c in self._world.living
        }
        over = self._asked - alive
        self._asked -= over
        return sorted(over), True


class PoisonedPlan:
    """`claude_tasks.execution.launching.LaunchPlan`: some tasks cannot be launched."""

    def __init__(self, plan: Any, thread: Thread) -> None:
        self._plan = plan
        self._thread = thread
        self.full = False
        """Whether the machine has no room now."""

    def spec(self, claimed: Claimed, folder: RunFolder, snapshot: TaskSnapshot) -> RunSpec:
        self._thread.place_to_hang()
        if self.full:
            raise OSError(28, "No space left on device")
        if claimed.task.name == POISON:
            if claimed.run.id % 2:
                raise SpawnError("it cannot be launched")
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "it cannot be launched")
        spec: RunSpec = self._plan.spec(claimed, folder, snapshot)
        return spec


class ModelNode:
    """One incarnation of one node."""

    def __init__(self, name: str, settings: Settings, clock: FakeClock, world: World) -> None:
        self.name = name
        self.clock = clock
        self.world = world
        self.engine_thread, self.keeper_thread = Thread(), Thread()
        lay(settings.folder.database)
        self._stores = [open_store(settings.folder.database, at=0) for _ in range(2)]
        self.record = node(name, started_at=clock.now(), ttl_ms=round(settings.lease_ttl * 1000))
        self.lock = LifetimeLock(settings.folder.nodes, name)
        self.lock.acquire()
        self._stores[0].register_node(self.record)
        self.leadership = Leadership(clock)
        self.watch = BeatWatch()
        self.engine = self._build_engine(settings)
        self.beats, self.keeper = self._build_keepers(settings)

    def _build_engine(self, settings: Settings) -> Engine:
        store: Any = Hanging(self._stores[0], self.engine_thread)
        execution = build_execution(settings, store, self.name)
        executor: Any = execution._executor
        executor._monotonic = self.clock.monotonic
        executor._spawner = SimulatedSpawner(self.world, self.clock, self.engine_thread)
        self.plan = executor._plan = PoisonedPlan(executor._plan, self.engine_thread)
        registry = NodeRegistry(store, settings.folder.nodes, self.watch)
        return Engine(
            clock=self.clock,
            ticker=Ticker(store, self.clock),
            dispatcher=Dispatcher(
                store=store, execution=execution, node_id=self.name, max_concurrent_runs=LIMIT
            ),
            rescuer=Rescuer(store=store, execution=execution, registry=registry, node_id=self.name),
            execution=execution,
            leadership=self.leadership,
            changes=store,
            require_same=store.require_same,
        )

    def _build_keepers(self, settings: Settings) -> tuple[BeatKeeper, LeaseKeeper]:
        store: Any = Hanging(self._stores[1], self.keeper_thread)
        beats = BeatKeeper(
            store=store,
            node=self.record,
            clock=self.clock,
            progress=self.engine.progressed_at,
            watch=self.watch,
            keep_alive=self.lock.keep,
        )
        lease = LeaseKeeper(
            store=store,
            registry=NodeRegistry(store, settings.folder.nodes),
            node=self.record,
            leadership=self.leadership,
            clock=self.clock,
            times=lease_times(settings),
            beats=beats,
            watch=self.watch,
        )
        return beats, lease

    @property
    def hangs(self) -> bool:
        """Whether any thread of it stands still: then it makes no progress, or does not lead."""
        return self.engine_thread.hangs or self.keeper_thread.hangs

    def keep(self, *, hang_after: int = 0) -> None:
        """One step of the keeper's thread."""
        if not self.keeper_thread.hangs:
            self.keeper_thread.run(self._keep, hang_after=hang_after)

    def schedule(self, *, hang_after: int = 0) -> None:
        """One pass of the engine's."""
        if not self.engine_thread.hangs:
            self.engine_thread.run(self.engine.try_pass, hang_after=hang_after)

    def wake(self, *, hang_after: int = 0) -> None:
        """Whatever hangs goes on."""
        self.keeper_thread.resume(hang_after=hang_after)
        self.engine_thread.resume(hang_after=hang_after)

    def crash(self) -> None:
        """As kill -9: its threads end where they stand, and the kernel lets its lock go."""
        self.engine_thread.kill()
        self.keeper_thread.kill()
        self.lock.release(tidy=False)
        for store in self._stores:
            store.close()

    def _keep(self) -> None:
        self.keeper.step()
        self.beats.step()


def claim_of(path: str) -> tuple[int, int]:
    run_id, _, claim = os.path.basename(path).partition(".")
    return int(run_id), int(claim)
