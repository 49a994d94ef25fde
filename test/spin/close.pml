/* close.pml - how a connection ends
 *
 *     loop:    a pass: flush (submit what the state needs), then reap
 *     kernel:  each operation ends by itself, or is cancelled; the CQEs of a
 *              cancel and of its target come in any order
 *     peer:    sends for ever, half-closes, resets, reads or does not, and
 *              falls silent at any moment
 *     time:    abort, close, stop and deadlines, at any moment
 *
 *     OPEN --> DRAINING --> STOPPING (until in_flight == 0) --> CLOSING --> FREE
 *
 * A cancel may miss a live operation that the kernel is about to retry, a
 * limited number of times. Once, a completion comes for a closed connection,
 * and may carry a buffer. There are fewer slots than connections: one, used
 * twice.
 *
 * Proved: on_close is the last callback of each connection and comes once; the
 * slot is freed once, and not while an operation or a completion of it is
 * pending; all buffers are back at the end; with a fair scheduler, each
 * connection ends.
 *
 * In the library: net/conn/conn_work.c, wi_conn_stop() and wi_conn_drain() in
 * net/conn/conn.c, loop_dispatch() in net/loop/loop.c, wi_pool_give() in net/core/pool.h.
 *
 * liveness: with one connection, because all are alike
 * mutant FREE_ON_ERROR assertion: the slot is given back on the error itself
 * mutant NO_WAIT assertion: the close does not wait for in_flight == 0
 * mutant EACH_COMPLETION_ENDS assertion: in_flight falls with each completion, F_MORE or not
 * mutant CANCEL_IS_END assertion: what was cancelled counts as ended with the cancel
 * mutant NO_GENERATION assertion: the generation is not bumped
 * mutant STALE_BUFFER_KEPT assertion: a stale completion's buffer is not returned
 * mutant BUFFER_KEPT assertion: a buffer that comes while stopping is not returned
 * mutant EARLY_ON_CLOSE assertion: on_close when stopping begins, and once more at the end
 * mutant CLOSE_TWICE assertion: a tick in CLOSING submits the close again
 * mutant NO_CANCEL livelock: nothing is cancelled
 * mutant NO_REPEAT deadlock: a cancel that missed is not repeated at the tick
 * mutant NOT_MARKED deadlock: the last completion does not mark the connection
 * mutant NO_DRAIN_DEADLINE livelock: a peer that sends for ever is read for ever
 */

#ifdef LIVENESS
#define CONN_COUNT 1
#else
#define CONN_COUNT 2
#endif
#define BUFFER_COUNT 1
#define MISSES 1 /* missed cancels, per connection */

mtype = { FREE, OPEN, DRAINING, STOPPING, CLOSING }; /* states */
mtype = { NONE, GOING, CANCELLED };                  /* operations */
mtype = { RECV, SEND, CANCEL, FIN, CLOSE };
mtype = { DATA, END, LOST, NOBUFS, CANCELED, DONE, MISSED }; /* results */

/* kind, generation, result, F_MORE */
chan cq = [6] of { mtype, bit, mtype, bit };

/* ---- the loop's */
mtype state = FREE;
bit generation = 0;
byte in_flight = 0;
bit recv_armed = 0;
bit send_in_flight = 0;
bit cancel_in_flight = 0;
bit cancel_wanted = 0;
bit fin_in_flight = 0;
bit fin_sent = 0;
bit eof_seen = 0;
bit is_paused = 0;
bit is_queued = 0; /* output */
bit is_marked = 0;
byte closes = 0; /* on_close, of all connections */
byte opens = 0;
bit is_told = 0; /* on_close was called for this one */

/* ---- the kernel's */
mtype recv = NONE;
mtype send = NONE;
mtype fin = NONE;
mtype close_op = NONE;
mtype cancel = NONE;
bit is_cancel_all = 0;
byte misses = 0;
byte buffers = BUFFER_COUNT;
byte owed = 0; /* completions of the current connection, not yet reaped */
#ifdef LIVENESS
bit has_haunted = 1; /* off: it would only lengthen the search */
#else
bit has_haunted = 0;
#endif

/* ---- the peer's */
bit has_data = 0;
bit has_fin = 0;
bit has_rst = 0;
bit is_reading = 0; /* or never */
bit is_silent = 0;

inline post(kind, result, more)
{
	cq ! kind, generation, result, more;
	owed++
}

/* ---- the ways to end: net/conn/conn.c */

inline conn_stop()
{
	if
	:: state == OPEN || state == DRAINING ->
#ifdef EARLY_ON_CLOSE
		on_close();
#endif
#ifndef NO_CANCEL
		cancel_wanted = in_flight > 0;
#endif
		state = STOPPING;
		is_marked = 1
	:: else
	fi
}

inline conn_drain()
{
	if
	:: state == OPEN ->
		is_paused = 0;
		state = DRAINING;
		is_marked = 1
	:: else
	fi
}

inline on_close()
{
	assert(!is_told);
	is_told = 1;
	closes++
}

inline conn_release()
{
	assert(recv == NONE && send == NONE && fin == NONE);
	assert(cancel == NONE && close_op == NONE);
	assert(owed == 0 && in_flight == 0);
	on_close();
	is_queued = 0;
	fin_sent = 0;
	eof_seen = 0;
	cancel_wanted = 0;
	recv_armed = 0;
	send_in_flight = 0;
	cancel_in_flight = 0;
	fin_in_flight = 0;
	is_paused = 0;
	is_marked = 0;
	has_data = 0;
	has_fin = 0;
	has_rst = 0;
	is_reading = 0;
	is_silent = 0;
	misses = 0;
	state = FREE;
#ifndef NO_GENERATION
	generation = 1 - generation
#endif
}

/* ---- what is submitted: wi_conn_work() */

inline work_recv()
{
	if
	:: !recv_armed && !eof_seen && !is_paused ->
		assert(recv == NONE);
		recv = GOING;
		recv_armed = 1;
		in_flight++
	:: else
	fi
}

inline work_send()
{
	if
	:: !send_in_flight && is_queued ->
		assert(send == NONE);
		send = GOING;
		send_in_flight = 1;
		in_flight++
	:: else
	fi
}

inline work_cancel(is_all)
{
	if
	:: cancel_wanted && !cancel_in_flight && (is_all || recv_armed) ->
		assert(cancel == NONE);
		cancel = GOING;
		is_cancel_all = is_all;
		cancel_in_flight = 1;
		cancel_wanted = 0;
		in_flight++
	:: else
	fi
}

inline work_draining()
{
	work_send();
	work_recv();
	if
	:: is_queued || send_in_flight
	:: !(is_queued || send_in_flight) && !eof_seen ->
		if
		:: !fin_in_flight && !fin_sent ->
			fin = GOING;
			fin_in_flight = 1;
			in_flight++
		:: else
		fi
	:: else ->
		if
		:: !fin_in_flight -> conn_stop()
		:: else
		fi
	fi
}

inline work_close()
{
	assert(close_op == NONE);
	close_op = GOING;
	in_flight++;
	state = CLOSING
}

inline work()
{
	if
	:: state == OPEN ->
		work_send();
		work_cancel(0);
		work_recv()
	:: state == DRAINING -> work_draining()
	:: else
	fi;
	if
#ifdef NO_WAIT
	:: state == STOPPING && (in_flight == 0 ||
				 !cancel_wanted && !cancel_in_flight) ->
		work_close()
#else
	:: state == STOPPING && in_flight == 0 -> work_close()
#endif
	:: state == STOPPING && in_flight > 0 -> work_cancel(1)
	:: else
	fi
}

/* ---- what comes back: wi_conn_complete() */

inline on_recv(result, more)
{
	recv_armed = more;
	if
	:: result == DATA && state == OPEN ->
		assert(!is_told);
		if /* the handler answers, gets no room, or closes */
		:: is_queued = 1
		:: !is_paused && is_queued ->
			is_paused = 1;
			cancel_wanted = recv_armed
		:: true
		:: conn_drain()
		fi
	:: result == END ->
		eof_seen = 1;
		if
		:: !is_paused -> conn_drain()
		:: else
		fi
	:: result == LOST ->
#ifdef FREE_ON_ERROR
		if
		:: state == OPEN -> conn_release()
		:: else -> conn_stop()
		fi
#else
		conn_stop()
#endif
	:: else
	fi;
	if
#ifdef BUFFER_KEPT
	:: result == DATA && state != STOPPING -> buffers++
#else
	:: result == DATA -> buffers++
#endif
	:: else
	fi;
	if
	:: more && !cancel_in_flight && (is_paused || state == STOPPING) ->
#ifdef NO_CANCEL
		skip
#else
		cancel_wanted = 1
#endif
	:: else
	fi;
	if
	:: (!more || cancel_wanted) && state != FREE -> is_marked = 1
	:: else
	fi
}

/* A short send leaves the rest queued. */
inline on_send(result)
{
	send_in_flight = 0;
	if
	:: result == DONE -> is_queued = 0
	:: result == DONE
	:: result == LOST -> conn_stop()
	:: result == CANCELED
	fi;
	if
	:: state == OPEN && is_paused && !is_queued ->
		is_paused = 0;
		cancel_wanted = 0;
		is_marked = 1;
		if
		:: eof_seen -> conn_drain()
		:: else
		fi
	:: else
	fi;
	if
#ifdef NOT_MARKED
	:: state == DRAINING || is_queued -> is_marked = 1
#else
	:: state != OPEN || is_queued -> is_marked = 1
#endif
	:: else
	fi
}

inline on_cancel(result)
{
	cancel_in_flight = 0;
#ifdef CANCEL_IS_END
	if
	:: result == DONE && state == STOPPING ->
		in_flight = 0;
		recv_armed = 0;
		send_in_flight = 0
	:: else
	fi;
#endif
	if
	:: state == STOPPING -> is_marked = 1
	:: else
	fi
}

inline on_fin(result)
{
	fin_in_flight = 0;
	if
	:: result == DONE ->
		fin_sent = 1
	:: else -> conn_stop()
	fi;
	is_marked = 1
}

inline complete(kind, result, more)
{
#ifdef EACH_COMPLETION_ENDS
	assert(in_flight > 0);
	in_flight--;
#else
	if
	:: !more ->
		assert(in_flight > 0);
		in_flight--
	:: else
	fi;
#endif
	if
	:: kind == RECV -> on_recv(result, more)
	:: kind == SEND -> on_send(result)
	:: kind == CANCEL -> on_cancel(result)
	:: kind == FIN -> on_fin(result)
	:: kind == CLOSE -> conn_release()
	fi
}

inline dispatch(kind, whose, result, more)
{
	if
	:: state != FREE && whose == generation -> complete(kind, result, more)
	:: else -> /* the connection is gone, but not the buffer */
#ifndef STALE_BUFFER_KEPT
		if
		:: result == DATA -> buffers++
		:: else
		fi
#else
		skip
#endif
	fi
}

/* ---- one pass after the other: net/loop/loop.c */

inline conn_accept()
{
	opens++;
	is_told = 0;
	misses = MISSES;
	if
	:: is_reading = 1
	:: is_reading = 0
	fi;
	state = OPEN;
	is_marked = 1
}

/* All that are ready; later ones are for the next pass. */
inline reap()
{
	count = len(cq);
	do
	:: count > 0 ->
		count--;
		cq ? kind, whose, result, more;
		if
		:: kind == FREE -> kind = RECV /* for a closed connection */
		:: else -> owed--
		fi;
		dispatch(kind, whose, result, more)
	:: else -> break
	od;
	kind = 0;
	result = 0;
	whose = 0;
	more = 0
}

active proctype loop()
{
	mtype kind;
	mtype result;
	bit whose;
	bit more;
	byte count = 0;

	do
	:: atomic {
		closes == CONN_COUNT && state == FREE && empty(cq) &&
			has_haunted ->
		break
	   }
	:: atomic {
		state == FREE && opens < CONN_COUNT -> conn_accept()
	   }
	:: atomic {
		is_marked ->
		is_marked = 0;
		work()
	   }
	:: atomic { !is_marked && nempty(cq) -> reap() }
	od;
	assert(buffers == BUFFER_COUNT)
}

/* ---- the kernel: one process for each operation */

active proctype kernel_recv()
{
end:	do
	:: atomic {
		recv == GOING && has_data && buffers > 0 && nfull(cq) ->
		has_data = 0;
		buffers--;
		if
		:: post(RECV, DATA, 1)
		:: recv = NONE; /* a multishot may end at any time */
			post(RECV, DATA, 0)
		fi
	   }
	:: atomic {
		recv == GOING && has_data && buffers == 0 && nfull(cq) ->
		recv = NONE;
		post(RECV, NOBUFS, 0)
	   }
	:: atomic {
		recv == GOING && has_rst && nfull(cq) ->
		recv = NONE;
		post(RECV, LOST, 0)
	   }
	:: atomic {
		recv == GOING && !has_data && has_fin && nfull(cq) ->
		recv = NONE;
		post(RECV, END, 0)
	   }
	:: atomic {
		recv == CANCELLED && nfull(cq) ->
		recv = NONE;
		post(RECV, CANCELED, 0)
	   }
	od
}

active proctype kernel_send()
{
end:	do
	:: atomic {
		send == GOING && is_reading && !has_rst && nfull(cq) ->
		send = NONE;
		post(SEND, DONE, 0)
	   }
	:: atomic {
		send == GOING && has_rst && nfull(cq) ->
		send = NONE;
		post(SEND, LOST, 0)
	   }
	:: atomic {
		send == CANCELLED && nfull(cq) ->
		send = NONE;
		if
		:: post(SEND, CANCELED, 0)
		:: post(SEND, DONE, 0) /* reports the bytes sent before */
		fi
	   }
	od
}

/* It takes effect first and completes later, so its CQE may come before or
 * after those of its targets. */
active proctype kernel_cancel()
{
	mtype result;

end:	do
	:: atomic {
		cancel == GOING ->
		result = MISSED;
		if
		:: recv == GOING ->
			recv = CANCELLED;
			result = DONE
		:: recv == GOING && misses > 0 -> misses--
		:: else
		fi;
		if
		:: is_cancel_all && send == GOING ->
			send = CANCELLED;
			result = DONE
		:: is_cancel_all && send == GOING && misses > 0 -> misses--
		:: else
		fi;
		cancel = CANCELLED
	   }
	:: atomic {
		cancel == CANCELLED && nfull(cq) ->
		cancel = NONE;
		post(CANCEL, result, 0);
		result = 0
	   }
	od
}

/* Never both in flight: install and shutdown(2), or SHUTDOWN; and the close. */
active proctype kernel_ends()
{
end:	do
	:: atomic {
		fin == GOING && nfull(cq) ->
		fin = NONE;
		if
		:: has_rst -> post(FIN, LOST, 0)
		:: else -> post(FIN, DONE, 0)
		fi
	   }
	:: atomic {
		close_op == GOING && nfull(cq) ->
		close_op = NONE;
		post(CLOSE, DONE, 0)
	   }
	od
}

/* A completion of the first connection, when the second may have its slot. FREE
 * stands for a receive without a pending completion. */
#ifndef LIVENESS
active proctype kernel_ghost()
{
	atomic {
		closes > 0 && nfull(cq) && buffers > 0 ->
		has_haunted = 1;
		if
		:: cq ! FREE, 0, CANCELED, 0
		:: buffers--;
			cq ! FREE, 0, DATA, 0
		fi
	}
}
#endif

/* ---- the world */

active proctype peer()
{
end:	do
	:: atomic {
		state != FREE && !is_silent ->
		if
		:: !has_data && !has_fin && !has_rst -> has_data = 1
		:: !has_fin && !has_rst -> has_fin = 1
		:: !has_rst -> has_rst = 1
		:: is_silent = 1
		fi
	   }
	od
}

/* Deadlines, ticks, and the user. No connection stays open for ever: a silent
 * peer becomes idle, and the user closes an active one at some time. */
active proctype time()
{
end:	do
	:: atomic { state == OPEN -> conn_drain() }
	:: atomic { state == OPEN -> conn_stop() }
#ifndef NO_DRAIN_DEADLINE
	:: atomic { state == DRAINING -> conn_stop() }
#endif
#ifndef NO_REPEAT
	:: atomic {
		state == STOPPING && in_flight > 0 && !cancel_wanted ->
#ifndef NO_CANCEL
		cancel_wanted = 1;
#endif
		is_marked = 1
	   }
#endif
#ifdef CLOSE_TWICE
	:: atomic { state == CLOSING && nfull(cq) -> work_close() }
#endif
	od
}

#ifdef LIVENESS
ltl each_ends { <> (closes == CONN_COUNT) }
#endif
