/* sqpoll.pml - the submission queue with a kernel thread that may sleep
 *
 *     user                          kernel thread
 *     ----                          -------------
 *     store-release tail            nothing left: will sleep
 *     full fence                    set NEED_WAKEUP
 *     load flags                    full fence
 *     NEED_WAKEUP? enter, wake      load tail again: new? go on, awake
 *                                   sleep until woken, clear NEED_WAKEUP
 *
 * Each side stores one word and then loads the other's. Without both fences
 * each may load before its store is visible: the user finds no flag, the kernel
 * finds no work, and the work waits for ever. Release and acquire do not help:
 * they do not order a store before a later load.
 *
 * Proved: every entry is consumed as filled, and no wake-up is lost. A lost
 * wake-up leaves the kernel asleep and the user done or waiting for room; spin
 * reports that as an invalid end state.
 *
 * The library does not use SQPOLL; its rings follow the same protocol.
 *
 * mutant NO_USER_FENCE deadlock: the user loads the flags before its tail is seen
 * mutant NO_KERNEL_FENCE deadlock: the kernel looks again before its flag is seen
 * mutant NO_SECOND_LOOK deadlock: the kernel sleeps without looking again
 * mutant NO_FLAG_CHECK deadlock: the user never wakes the kernel
 * mutant NO_TAIL_RELEASE assertion: the tail is seen before the entry
 */

#define HEAD 4 /* after the entries, 0 to 3 */
#define TAIL 5
#define FLAGS 6
#define LOCATION_COUNT 7
#include "store_buffer.pml"

#define OP_COUNT 9
#define NEED_WAKEUP 1
#define content(number) ((number) + 1)

/* The wait queue of the kernel thread: its lock orders the two sides. */
bit is_woken = 0;

active proctype user()
{
	byte taken = 0;
	byte published = 0;

	do
	:: taken < OP_COUNT &&
	   distance(memory[HEAD], index_of(taken)) < ENTRY_COUNT ->
		store(USER, slot_of(taken), content(taken));
		taken++
	:: taken != published ->
#ifdef NO_TAIL_RELEASE
		store(USER, TAIL, index_of(taken));
#else
		store_release(USER, TAIL, index_of(taken));
#endif
		published = taken;
#ifndef NO_USER_FENCE
		fence(USER);
#endif
#ifndef NO_FLAG_CHECK
		if
		:: memory[FLAGS] == NEED_WAKEUP -> is_woken = 1
		:: else
		fi
#endif
	:: published == OP_COUNT -> break
	od
}

active proctype kernel()
{
	byte consumed = 0;

	do
	:: consumed == OP_COUNT -> break
	:: consumed < OP_COUNT && memory[TAIL] != index_of(consumed) ->
		assert(memory[slot_of(consumed)] == content(consumed));
		consumed++;
		store_release(KERNEL, HEAD, index_of(consumed))
	:: consumed < OP_COUNT && memory[TAIL] == index_of(consumed) ->
		is_woken = 0; /* it is on the wait queue from here on */
		store(KERNEL, FLAGS, NEED_WAKEUP);
#ifndef NO_KERNEL_FENCE
		fence(KERNEL);
#endif
		if
#ifndef NO_SECOND_LOOK
		:: memory[TAIL] != index_of(consumed)
		:: memory[TAIL] == index_of(consumed) -> is_woken
#else
		:: is_woken
#endif
		fi;
		store(KERNEL, FLAGS, 0)
	od
}

init
{
	run drain(USER);
	run drain(KERNEL)
}
