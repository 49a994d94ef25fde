/* sq.pml - the submission queue with a consumer that never sleeps
 *
 *     user:   [ room? ] fill entry ... fill entry, store-release tail
 *     kernel: load-acquire tail, read the entry, store-release head
 *
 * The consumer may run on another CPU (SQPOLL before it sleeps). If it runs
 * inside io_uring_enter(), on the caller's CPU, program order is enough.
 *
 * Proved: the kernel reads every entry exactly as filled, once and in order,
 * and both sides end.
 *
 * In the library: wi_store_release_u32(kernel_sq_tail) in ring.c,
 * weir_ring_unsubmitted() and weir_ring_take_sqe() in ring_inline.h.
 *
 * mutant NO_TAIL_RELEASE assertion: the tail is seen before the entry
 * mutant NO_TAIL_ACQUIRE assertion: the kernel reads the entry, then the tail
 * mutant NO_HEAD_RELEASE assertion: the kernel reads the entry after the head
 * mutant NO_HEAD_ACQUIRE assertion: the user fills the entry, then looks for room
 */

#define HEAD 4 /* after the entries, 0 to 3 */
#define TAIL 5
#define LOCATION_COUNT 6
#include "store_buffer.pml"

#define OP_COUNT 9

/* Entry number n holds n + 1; 0 is an entry never filled. */
#define content(number) ((number) + 1)

active proctype user()
{
	byte taken = 0;
	byte published = 0;

	do
	:: taken < OP_COUNT &&
	   distance(memory[HEAD], index_of(taken)) < ENTRY_COUNT ->
		store(USER, slot_of(taken), content(taken));
		taken++
#ifdef NO_HEAD_ACQUIRE
	:: taken < OP_COUNT && taken == published ->
		store(USER, slot_of(taken), content(taken));
		distance(memory[HEAD], index_of(taken)) < ENTRY_COUNT;
		taken++
#endif
	:: taken != published ->
#ifdef NO_TAIL_RELEASE
		store(USER, TAIL, index_of(taken));
#else
		store_release(USER, TAIL, index_of(taken));
#endif
		published = taken
	:: published == OP_COUNT -> break
	od
}

active proctype kernel()
{
	byte consumed = 0;
	byte entry = 0;

	do
	:: consumed < OP_COUNT ->
#ifdef NO_TAIL_ACQUIRE
		entry = memory[slot_of(consumed)];
		memory[TAIL] != index_of(consumed);
#else
		memory[TAIL] != index_of(consumed);
#ifndef NO_HEAD_RELEASE
		entry = memory[slot_of(consumed)];
#endif
#endif
#ifdef NO_HEAD_RELEASE
		store(KERNEL, HEAD, index_of(consumed + 1));
		entry = memory[slot_of(consumed)];
#else
		store_release(KERNEL, HEAD, index_of(consumed + 1));
#endif
		assert(entry == content(consumed));
		entry = 0;
		consumed++
	:: else -> break
	od
}

init
{
	run drain(USER);
	run drain(KERNEL)
}
