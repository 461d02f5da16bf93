"""A function's asynchronous invocations on random commands, against a list of events: every event
has succeeded, or is in its destination or its dead-letter queue, or was dropped and counted, or is
still there; and replaying the rows gives the state of the run.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventcore.arn import function_arn
from eventcore.codec import decode_json
from eventcore.errors import LimitExceeded, NotFound
from eventcore.functions.async_events import AsyncEvent, decode_async_event
from eventcore.functions.function import Function
from eventcore.functions.function_spec import FunctionConfig, InvokeConfig
from eventcore.functions.invocation import InvocationResult, Payload, error_payload
from eventcore.outcome import LOG_KEY_FIRST, Deliver, Mutation, Outcome, Parcel
from eventcore.testing import SeededIds

ARN = function_arn("000000000000", "us-east-1", "f")
GOOD = "arn:aws:sqs:us-east-1:000000000000:good"
BAD = "arn:aws:sqs:us-east-1:000000000000:bad"
DEAD = "arn:aws:sqs:us-east-1:000000000000:dead"
DONE = InvocationResult(Payload.of(1), None, "$LATEST")
FAILED = InvocationResult(error_payload("E", "no"), "Unhandled", "$LATEST")
MINUTE_MS = 60_000
BOUNDS = {"events_max": 6, "memory_bytes_max": 100}
AGES = [None, MINUTE_MS, 3 * MINUTE_MS]


class Known:
    """What the model knows of one event that has not ended."""

    def __init__(self, qualifier, accepted_ms):
        self.qualifier = qualifier
        self.accepted_ms = accepted_ms
        self.invokes = 0
        self.not_before_ms = accepted_ms
        self.is_attempted = False


class FunctionMachine(RuleBasedStateMachine):
    """Every payload is a number of its own, so each event can be followed to its end."""

    @initialize(has_dead_letters=st.booleans())
    def create(self, has_dead_letters):
        self.now_ms = 1_700_000_000_000
        self.ids = SeededIds(5)
        self.function = Function(ARN, self.ids, **BOUNDS)
        self.rows: dict[int, bytes] = {}
        self.configs: dict[str | None, InvokeConfig] = {}
        self.known: dict[str, Known] = {}
        self.attempts = []
        self.count = 0
        self.succeeded = self.failed = self.dropped = 0
        self.forgotten = {"succeeded": 0, "failed": 0, "dropped": 0}
        self.dead_letter_arn = DEAD if has_dead_letters else None
        config = FunctionConfig(dead_letter_arn=self.dead_letter_arn)
        self.keep(self.function.create(config, b"zip", self.now_ms))
        self.keep(self.function.publish(self.now_ms))

    # What the model says

    def config(self, qualifier):
        return self.configs.get(qualifier or "$LATEST", InvokeConfig(0))

    def expires_ms(self, known):
        age_ms_max = self.config(known.qualifier).age_ms_max
        return known.accepted_ms + (6 * 60 * MINUTE_MS if age_ms_max is None else age_ms_max)

    def keep(self, outcome: Outcome):
        """Stores the rows, and ends the events that the effects, or missing rows, tell of."""
        before = self.payloads_of_rows() if outcome.mutations else set()
        for mutation in outcome.mutations:
            if mutation.value is None:
                assert self.rows.pop(mutation.key, None) is not None
            else:
                assert not (mutation.is_new and mutation.key in self.rows)
                self.rows[mutation.key] = mutation.value
        told: dict[str, set[str]] = {}
        for effect in outcome.effects:
            assert isinstance(effect, Deliver)
            body = decode_json(effect.parcel.body)
            payload = str(body if effect.target_arn == DEAD else body["requestPayload"])
            assert effect.target_arn not in told.setdefault(payload, set())
            told[payload].add(effect.target_arn)
        gone = before - self.payloads_of_rows() if outcome.mutations else set()
        assert set(told) <= gone | ({str(self.count)} - set(self.known))
        for payload in gone | set(told):
            self.end(payload, told.get(payload, set()))
        return outcome.value

    def payloads_of_rows(self):
        return {
            decode_async_event(value).payload.strip()
            for key, value in self.rows.items()
            if key >> 48 == 6 and key < LOG_KEY_FIRST
        }

    def end(self, payload, targets):
        known = self.known.pop(payload, None)
        config = self.config(None if known is None else known.qualifier)
        if self.is_success:
            assert targets == ({config.on_success} - {None})
            self.succeeded += 1
            return
        assert targets == ({config.on_failure, self.dead_letter_arn} - {None})
        if targets:
            self.failed += 1
        else:
            self.dropped += 1

    is_success = False

    # Commands

    @rule(
        qualifier=st.sampled_from(["$LATEST", "1"]),
        retries_max=st.sampled_from([None, 0, 1]),
        age_ms_max=st.sampled_from(AGES),
        on_success=st.sampled_from([None, GOOD]),
        on_failure=st.sampled_from([None, BAD]),
    )
    def configure(self, qualifier, retries_max, age_ms_max, on_success, on_failure):
        config = InvokeConfig(self.now_ms, retries_max, age_ms_max, on_success, on_failure)
        self.keep(self.function.set_invoke_config(qualifier, config))
        self.configs[qualifier] = config

    @rule(qualifier=st.sampled_from([None, "1", "2"]), size=st.sampled_from([0, 60]))
    def enqueue(self, qualifier, size):
        event = AsyncEvent(str(self.count + 1) + " " * size, qualifier)
        try:
            outcome = self.function.enqueue(event, self.now_ms)
        except NotFound:
            assert qualifier == "2"
        except LimitExceeded:
            assert len(self.known) >= BOUNDS["events_max"]
        else:
            self.count += 1
            self.known[event.payload.strip()] = Known(qualifier, self.now_ms)
            self.keep(outcome)

    @rule(qualifier=st.sampled_from([None, "1"]))
    def accept(self, qualifier):
        self.count += 1
        payload = str(self.count)
        waiting = sum(not known.is_attempted for known in self.known.values())
        outcome = self.function.accept(Parcel(payload, "arn:rule"), self.now_ms, qualifier)
        if any(mutation.is_new for mutation in outcome.mutations):
            self.known[payload] = Known(qualifier, self.now_ms)
            self.keep(outcome)
        else:
            assert len(self.known) >= BOUNDS["events_max"]
            assert waiting == len(self.function._events._doomed), "what waits makes room"
            self.rejected(payload, qualifier, outcome)

    def rejected(self, payload, qualifier, outcome):
        config = self.config(qualifier)
        targets = {effect.target_arn for effect in outcome.effects}
        assert targets == ({config.on_failure, self.dead_letter_arn} - {None})
        self.failed += bool(targets)
        self.dropped += not targets

    @rule(limit=st.integers(1, 3))
    def due(self, limit):
        attempts = self.keep(self.function.due(self.now_ms, limit))
        assert len(attempts) <= limit
        for attempt in attempts:
            event = attempt.event or decode_async_event(self.rows[attempt.key])
            known = self.known[event.payload.strip()]
            assert not known.is_attempted
            assert (attempt.invokes, attempt.accepted_ms) == (known.invokes, known.accepted_ms)
            if attempt.condition is None:
                assert known.not_before_ms <= self.now_ms < self.expires_ms(known)
            else:
                assert attempt.event is None
            known.is_attempted = True
            self.attempts.append((attempt, event))

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), how=st.sampled_from(["succeed", "fail", "fail", "throttle", "release"]))
    def end_attempt(self, data, how):
        at = data.draw(st.integers(0, len(self.attempts) - 1))
        attempt, event = self.attempts.pop(at)
        known = self.known.get(event.payload.strip())
        assert known is not None, "nothing ends that is being attempted"
        if attempt.condition is not None and how != "release":
            how = "discard"
        known.is_attempted = False
        getattr(self, f"do_{how}")(attempt, event, known)

    def do_succeed(self, attempt, event, known):
        self.is_success = True
        self.keep(self.function.succeed(attempt, event, DONE, self.now_ms))
        self.is_success = False
        assert event.payload.strip() not in self.known

    def do_fail(self, attempt, event, known):
        retries_max = self.config(known.qualifier).retries_max
        retries_max = 2 if retries_max is None else retries_max
        known.invokes += 1
        next_ms = self.now_ms + known.invokes * MINUTE_MS
        ends = known.invokes > retries_max or next_ms >= self.expires_ms(known)
        known.not_before_ms = next_ms
        self.keep(self.function.fail(attempt, event, FAILED, self.now_ms))
        assert (event.payload.strip() not in self.known) == ends

    def do_throttle(self, attempt, event, known):
        known.not_before_ms = min(self.now_ms + 500, self.expires_ms(known))
        self.keep(self.function.throttle(attempt, self.now_ms))

    def do_release(self, attempt, event, known):
        self.keep(self.function.release(attempt))

    def do_discard(self, attempt, event, known):
        self.keep(self.function.discard(attempt, event, attempt.condition, self.now_ms))
        assert event.payload.strip() not in self.known

    @rule(pause_ms=st.sampled_from([0, 1, 600, MINUTE_MS, 2 * MINUTE_MS, 30 * MINUTE_MS]))
    def pass_time(self, pause_ms):
        self.now_ms += pause_ms
        deadline_ms = self.function.next_deadline()
        before = len(self.rows), self.function.has_ready
        self.keep(self.function.tick(self.now_ms, 1_000))
        if deadline_ms is None or deadline_ms > self.now_ms:
            assert before == (len(self.rows), self.function.has_ready)

    @rule()
    def restart(self):
        found = self.function.statistics(self.now_ms)
        for name in self.forgotten:
            self.forgotten[name] += getattr(found, name)
        self.function = Function(ARN, self.ids, **BOUNDS)
        for key in sorted(key for key in self.rows if key < LOG_KEY_FIRST):
            self.function.apply(Mutation(key, self.rows[key]))
        self.attempts.clear()
        for known in self.known.values():
            known.is_attempted = False
            if not known.invokes:
                known.not_before_ms = known.accepted_ms

    # What always holds

    @invariant()
    def the_invariants_hold(self):
        self.function.check()

    @invariant()
    def every_event_is_in_one_place(self):
        assert self.payloads_of_rows() == set(self.known)
        assert len(self.known) + self.succeeded + self.failed + self.dropped == self.count
        found = self.function.statistics(self.now_ms)
        assert found.waiting + found.ready + found.attempting == len(self.known)
        assert found.attempting == len(self.attempts)
        for name in self.forgotten:
            assert getattr(found, name) + self.forgotten[name] == getattr(self, name)

    @invariant()
    def what_is_too_old_is_due(self):
        waiting = [known for known in self.known.values() if not known.is_attempted]
        overdue = [known for known in waiting if self.expires_ms(known) <= self.now_ms]
        deadline_ms = self.function.next_deadline()
        if overdue:
            is_due = deadline_ms is not None and deadline_ms <= self.now_ms
            assert is_due or self.function.has_ready

    @invariant()
    def no_row_outlives_its_event(self):
        events = {key & (1 << 48) - 1 for key in self.rows if key >> 48 == 6}
        attempts = {key & (1 << 48) - 1 for key in self.rows if key >> 48 == 7}
        assert attempts <= events
        assert len(attempts) == sum(known.invokes > 0 for known in self.known.values())

    @invariant()
    def the_rows_give_the_state(self):
        again = Function(ARN, SeededIds(9), **BOUNDS)
        for key in sorted(key for key in self.rows if key < LOG_KEY_FIRST):
            again.apply(Mutation(key, self.rows[key]))
        again.check()
        assert again.versions() == self.function.versions()
        assert again.invoke_configs() == self.function.invoke_configs()
        kept, found = (
            {n: (e.id, e.accepted_ms, e.invokes) for n, e in function._events._entries.items()}
            for function in (self.function, again)
        )
        assert kept == found


TestFunction = FunctionMachine.TestCase
TestFunction.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
