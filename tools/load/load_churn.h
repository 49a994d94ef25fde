/* load_churn.h - connections of weir-load that come and go (--churn) */
#ifndef WEIR_TOOLS_LOAD_CHURN_H
#define WEIR_TOOLS_LOAD_CHURN_H

#include "load.h"

/** load_churn_start() - put every place of @thread on its list. */
void load_churn_start(struct load_thread *thread);

/** load_churn_open_some() - connect in the places that are on the list. */
void load_churn_open_some(struct load_thread *thread);

/** load_churn_closed() - count an ended connection, and list its place. */
void load_churn_closed(struct load_conn *conn,
		       const struct weir_close_reason *reason);

/** load_churn_end() - count what a failed loop has left open. */
void load_churn_end(struct load_thread *thread);

#endif
