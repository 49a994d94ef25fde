/* privilege.h - how a tool that starts with a privilege gives it up */
#ifndef WEIR_TOOLS_PRIVILEGE_H
#define WEIR_TOOLS_PRIVILEGE_H

/**
 * privilege_drop() - no capability any more, and none again through execve(2)
 *
 * Acts on the calling thread. Threads that it starts later inherit that;
 * threads that already run keep theirs. The user id does not change.
 *
 * Return: 0 or negative errno. Source: capabilities(7), capset(2), prctl(2).
 */
int privilege_drop(void);

#endif
