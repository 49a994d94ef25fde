/* handover.pml - connections that wait at a loop move to another, or stay
 *
 *     control:  drain, resume, remove      loop:  accept, apply, acknowledge
 *     ---------------------------------    ---------------------------------
 *     write the command, ring the doorbell    woken: read the command, act on it
 *     shut the listener down (HOLD), or    accept what waits, shut it down
 *     leave that to the loop (EMPTY)       write told, once nothing is armed
 *     wait for told, or for the loop's end
 *
 * Where connections migrate (the steering program is attached), a shutdown
 * moves waiting clients to the other listener of the group; elsewhere it resets them,
 * so the loop lets them in first. A connection is in a listener's queue, in
 * transit to a loop (accepted, its completion not yet reaped), or a loop's.
 * At any moment the server may be stopped, and the loop may fail.
 *
 * Proved: with migration a drain loses no connection; without it, none that
 * waited before the drain. A loop gets only connections that waited at its
 * listener, each once. After the loop has acknowledged, no connection comes in
 * until it listens again. No listener is left without a loop that accepts.
 * Control always ends.
 *
 * In the library: wi_worker_listen_end() and its callers in
 * net/server/server_listen.c and net/server/server_roll.c, member_main() in
 * net/server/server_worker.c, listener_work() in net/loop/listener.c. net/ does
 * not pass open connections from loop to loop; see pass.pml for that.
 *
 * mutant NO_WAKE deadlock: the doorbell is not rung
 * mutant WAKE_FIRST deadlock: the doorbell is rung before the command is written
 * mutant DOORBELL_ONCE deadlock: the doorbell is not armed again
 * mutant NO_END_CHECK deadlock: control waits for a loop that has ended
 * mutant TOLD_EARLY assertion: told while the accept is still armed
 * mutant NO_COUNT assertion: a command has no number: an old answer passes for the new one
 * mutant SHUT_AT_ONCE assertion: a loop that is to be emptied accepts no client first
 * mutant NO_SHUT_FOR_ENDED assertion: no thread shuts down for a loop that failed
 * mutant NO_STOP_CHECK assertion: a resume does not look whether the server stops
 * mutant SHUT_AND_DONE assertion: the loop reports listening only if it saw a command to accept
 * mutant SHUT_IS_REMEMBERED assertion: a loop that fails trusts that what it had shut down still is
 */

#define CLIENT_COUNT 2
#define ROUNDS 1 /* of drain and resume; then drain and remove */

mtype = { AWAY, WAITS_HERE, WAITS_THERE, IN_TRANSIT, HERE, THERE, LOST };
mtype = { ACCEPT, HOLD, EMPTY };      /* commands */
mtype = { ACCEPTED, ENDED, DOORBELL }; /* completions */

/* ---- the kernel's */
mtype client[CLIENT_COUNT];
bit has_waited[CLIENT_COUNT]; /* when the drain began; for the proof only */
bit is_listening = 1;
bit migrates = 0;
bit bell = 0;
bit accept_armed = 0;
bit bell_armed = 0;
chan cq = [5] of { mtype, byte };

/* ---- between the threads */
mtype command = ACCEPT;
byte command_count = 0;
mtype told = ACCEPT;
byte told_count = 0;
bit is_stopped = 0; /* the loop's stop_requests */
bit server_stops = 0;
bit has_ended = 0;

bit is_over = 0;    /* control no longer needs the loop */
bit is_busy = 0;    /* control is in the middle of a call */
bit is_drained = 0; /* acknowledged, not resumed: for the proof only */

inline shut_down()
{
	d_step {
		is_listening = 0;
		if
		:: client[0] == WAITS_HERE && migrates -> client[0] = WAITS_THERE
		:: client[0] == WAITS_HERE && !migrates ->
			assert(!has_waited[0] || is_stopped);
			client[0] = LOST
		:: else
		fi;
		if
		:: client[1] == WAITS_HERE && migrates -> client[1] = WAITS_THERE
		:: client[1] == WAITS_HERE && !migrates ->
			assert(!has_waited[1] || is_stopped);
			client[1] = LOST
		:: else
		fi
	}
}

inline accept_one(i)
{
	client[i] = IN_TRANSIT;
	cq ! ACCEPTED, i
}

/* Deferred work: an enter that does not wait runs it. */
inline accept_all()
{
	if
	:: accept_armed && client[0] == WAITS_HERE -> accept_one(0)
	:: else
	fi;
	if
	:: accept_armed && client[1] == WAITS_HERE -> accept_one(1)
	:: else
	fi;
	if
	:: accept_armed && !is_listening ->
		accept_armed = 0;
		cq ! ENDED, 0
	:: else
	fi
}

active proctype kernel()
{
end:	do
	:: atomic {
		accept_armed && client[0] == WAITS_HERE -> accept_one(0)
	   }
	:: atomic {
		accept_armed && client[1] == WAITS_HERE -> accept_one(1)
	   }
	:: atomic {
		accept_armed && !is_listening ->
		accept_armed = 0;
		cq ! ENDED, 0
	   }
	:: atomic {
		bell_armed && bell ->
		bell = 0;
		bell_armed = 0;
		cq ! DOORBELL, 0
	   }
	od
}

/* ---- the loop that is drained */

/* Once per pass. Sets is_last when the stopped loop has nothing left. */
inline listener_work()
{
	if
	:: command_count != seen_count || command != seen ->
		seen = command;
		seen_count = command_count;
		turns_left = 2;
#ifdef SHUT_AND_DONE
		if
		:: seen == ACCEPT -> is_shut = 0
		:: else
		fi
#else
		is_shut = 0 /* an ACCEPT may have come and gone in between */
#endif
	:: else
	fi;
#ifdef SHUT_AT_ONCE
	if
	:: !is_shut && (stop_seen || seen == EMPTY) ->
#else
	if
	:: !is_shut && seen == EMPTY && turns_left > 0 && !stop_seen ->
		turns_left--
	:: !is_shut && (stop_seen || seen == EMPTY && turns_left == 0) ->
#endif
		shut_down();
		is_shut = 1
	:: else
	fi;
	if
	:: is_shut || seen == HOLD ->
#ifdef TOLD_EARLY
		told = seen;
		told_count = seen_count
#else
		if
		:: !is_armed ->
			told = seen;
			told_count = seen_count
		:: else
		fi
#endif
	:: else ->
		if
		:: !is_armed ->
			accept_armed = 1;
			is_armed = 1
		:: else
		fi
	fi
}

inline reap()
{
	do
	:: cq ? [ACCEPTED, _] ->
		cq ? ACCEPTED, who;
		assert(client[who] == IN_TRANSIT && !is_drained);
		client[who] = HERE
	:: cq ? [ENDED, _] ->
		cq ? ENDED, _;
		is_armed = 0
	:: cq ? [DOORBELL, _] ->
		cq ? DOORBELL, _;
#ifndef DOORBELL_ONCE
		is_bell_armed = 0
#endif
	:: empty(cq) -> break
	od;
	who = 0
}

/* Clients that wait at a loop that fails are lost, unless they migrate. */
inline shut_down_failing()
{
	is_stopped = 1;
	shut_down()
}

inline drop_transit()
{
	if
	:: client[0] == IN_TRANSIT -> client[0] = LOST
	:: else
	fi;
	if
	:: client[1] == IN_TRANSIT -> client[1] = LOST
	:: else
	fi;
	do
	:: nempty(cq) -> cq ? _, _
	:: empty(cq) -> break
	od
}

active proctype loop()
{
	mtype seen = ACCEPT;
	byte seen_count = 0;
	byte turns_left = 0;
	byte who = 0;
	bit is_shut = 0;
	bit stop_seen = 0;
	bit is_armed = 0;
	bit is_bell_armed = 0;

	do
	:: atomic {
		stop_seen && is_shut && !is_armed && empty(cq) -> break
	   }
	:: atomic { /* flush */
		!stop_seen || !is_shut || is_armed || nempty(cq) ->
		stop_seen = is_stopped; /* before the command is read */
		listener_work();
		if
		:: !is_bell_armed ->
			bell_armed = 1;
			is_bell_armed = 1
		:: else
		fi
	   }
	   if
	   :: atomic { /* enter: emptied or stopped, it does not wait */
		seen == EMPTY && !is_shut || stop_seen ->
		accept_all();
		reap()
	      }
	   :: atomic { /* any other sleeps */
		!(seen == EMPTY && !is_shut) && !stop_seen && nempty(cq) ->
		reap()
	      }
	   :: atomic { /* the enter fails, the ring is gone */
		!stop_seen && !is_over ->
#ifdef SHUT_IS_REMEMBERED
		if
		:: !is_shut -> shut_down_failing()
		:: else
		fi;
#else
		shut_down_failing();
#endif
		server_stops = 1;
		goto failed
	      }
	   fi
	od;
failed:	atomic {
		/* The ring closes its table. */
		accept_armed = 0;
		drop_transit();
		has_ended = 1;
		assert(is_busy || !is_listening)
	}
}

/* ---- the other loop: continues as before */

active proctype other_loop()
{
end:	do
	:: atomic { client[0] == WAITS_THERE -> client[0] = THERE }
	:: atomic { client[1] == WAITS_THERE -> client[1] = THERE }
	od
}

active [CLIENT_COUNT] proctype connecting()
{
	/* One index per process: the clients start last. */
	byte me = _pid - 3;

	if
	:: atomic { is_listening -> client[me] = WAITS_HERE }
	:: client[me] = WAITS_THERE
	:: skip /* never */
	fi
}

/* ---- control */

inline write_command(what)
{
	atomic {
		command = what;
#ifndef NO_COUNT
		command_count++
#endif
	}
}

inline ring()
{
#ifndef NO_WAKE
	bell = 1
#else
	skip
#endif
}

inline command_for(what)
{
#ifdef WAKE_FIRST
	ring();
	write_command(what)
#else
	write_command(what);
	ring()
#endif
}

#define has_told (told == command && told_count == command_count)

inline drain()
{
	atomic {
		has_waited[0] = client[0] == WAITS_HERE;
		has_waited[1] = client[1] == WAITS_HERE
	}
	if
	:: migrates ->
		command_for(HOLD);
		shut_down()
	:: else -> command_for(EMPTY)
	fi;
#ifdef NO_END_CHECK
	has_told;
#else
	has_told || has_ended;
#endif
	if
#ifndef NO_SHUT_FOR_ENDED
	:: !has_told -> shut_down()
#endif
	:: else
	fi;
	atomic {
		has_waited[0] = 0;
		has_waited[1] = 0;
		is_drained = 1
	}
}

inline resume()
{
	if
	:: server_stops || has_ended
	:: else ->
		atomic {
			is_drained = 0;
			is_listening = 1
		}
		command_for(ACCEPT);
#ifndef NO_STOP_CHECK
		if
		:: server_stops -> drain()
		:: else
		fi
#endif
	fi
}

active proctype control()
{
	byte rounds = 0;

	if
	:: migrates = 1
	:: skip
	fi;
	do
	:: rounds < ROUNDS ->
		is_busy = 1;
		drain();
		resume();
		atomic {
			is_busy = 0;
			assert(!has_ended || !is_listening);
			rounds++
		}
	:: break
	od;
	/* remove, or the end of the server */
	is_over = 1;
	is_busy = 1;
	drain();
	is_stopped = 1;
	ring();
	has_ended;
	assert(!is_listening);
	assert(client[0] != WAITS_HERE && client[1] != WAITS_HERE);
	assert(client[0] != IN_TRANSIT && client[1] != IN_TRANSIT);
	rounds = 0
}

/* A signal handler, or any thread. */
active proctype stopper()
{
	if
	:: server_stops = 1;
		is_stopped = 1;
		bell = 1
	:: skip
	fi
}
