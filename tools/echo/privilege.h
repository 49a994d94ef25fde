/* privilege.h - what a tool that starts with a privilege does to end it */
#ifndef WEIR_TOOLS_PRIVILEGE_H
#define WEIR_TOOLS_PRIVILEGE_H

/**
 * privilege_drop() - no capability any more, and none again through execve(2)
 *
 * Of the calling thread: threads that it starts later inherit that, those that
 * run already keep theirs. The user id does not change.
 *
 * Return: 0 or negative errno. Source: capabilities(7), capset(2), prctl(2).
 */
int privilege_drop(void);

#endif
