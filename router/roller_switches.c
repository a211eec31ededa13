/* Moves that were switching while a shared home may have been changed under them.
 *
 * A mover whose source changes its version begins its copy again: each of its requests requires the
 * version. But between its last look at the source and the swap of the placement it looks no more,
 * and the home that it then opens, one of the tenant's own, is a version behind and was in no walk,
 * for nobody lived there. A move that begins to switch later finds the new version; so it is only
 * those that were switching, and only until each was seen not to be.
 *
 * Happy path: before a walk over all homes, which may be the last, the catalog is asked who is
 * switching: nobody. If somebody was, and the walk found nothing behind, then it was not the last:
 * they are asked for again until they are over, and a walk that begins then sees where their
 * tenants live.
 *
 * A home that another worker's last change brought to the version within the walk, behind the
 * question, was not behind; so whoever took a rollout over walks once more (roller.c).
 *
 * Failures: what the catalog did not answer is asked for again. Of more than
 * FH_ROLLER_SWITCHES_MAX, the rest is collected when those are over.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "router/roller_internal.h"

#define PAUSE_US (500 * (int64_t)1000)

void fh_roller_switches_begin(struct fh_roller *roller, bool follow)
{
    struct fh_roller_switches *switches = &roller->switches;
    switches->known = false;
    switches->following = follow;
    switches->before = (struct fh_uuid){{0}};
    switches->not_before_us = 0;
    memset(switches->still, 0, sizeof(switches->still));
    if (!follow) {
        switches->count = 0;
        switches->overflowed = false;
    }
}

/* Whether it may open a home that no walk has seen, at the version of a shared one. */
static bool is_switching(const struct fh_move *move)
{
    return move->phase == FH_MOVE_SWITCHING && !fh_home_is_dedicated(&move->source.home) &&
           fh_home_is_dedicated(&move->target_home);
}

static void see(struct fh_roller_switches *switches, const struct fh_uuid *move)
{
    for (size_t i = 0; i < switches->count; i++) {
        if (fh_uuid_eq(&switches->moves[i], move)) {
            switches->still[i] = true;
            return;
        }
    }
    if (switches->following) {
        return; /* began later */
    }
    if (switches->count == FH_ROLLER_SWITCHES_MAX) {
        switches->overflowed = true;
        return;
    }
    switches->moves[switches->count++] = *move;
}

/* All pages were seen. */
static void answered(struct fh_roller *roller)
{
    struct fh_roller_switches *switches = &roller->switches;
    if (!switches->following) {
        switches->known = true;
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < switches->count; i++) {
        if (switches->still[i]) {
            switches->moves[kept++] = switches->moves[i];
        }
    }
    switches->count = kept;
    if (kept > 0) {
        fh_roller_switches_begin(roller, true);
        switches->not_before_us = fh_roller_now_us(roller) + PAUSE_US;
        return;
    }
    roller->message[0] = '\0';
    if (switches->overflowed) {
        fh_roller_switches_begin(roller, false);
    } else {
        switches->known = true;
        switches->following = false;
    }
}

static void listed_cb(struct fh_catalog_request *request)
{
    struct fh_roller *roller = request->arg;
    roller->walk.asking = false;
    if (request->code != FH_OK) {
        roller->walk.broken = true; /* until the next tick */
        fh_roller_pump(roller);
        return;
    }
    size_t count = request->as.move_list.count;
    for (size_t i = 0; i < count; i++) {
        if (is_switching(&request->as.move_list.moves[i])) {
            see(&roller->switches, &request->as.move_list.moves[i].uuid);
        }
    }
    if (request->as.move_list.more && count > 0) {
        roller->switches.before = request->as.move_list.moves[count - 1].uuid;
    } else {
        answered(roller);
    }
    fh_roller_pump(roller);
}

void fh_roller_switches_ask(struct fh_roller *roller)
{
    struct fh_roller_switches *switches = &roller->switches;
    struct fh_catalog_request *request = &roller->request;
    FH_ASSERT(!switches->known && !roller->walk.asking);
    if (fh_roller_now_us(roller) < switches->not_before_us) {
        return; /* a later tick */
    }
    fh_arena_reset(&roller->arena);
    *request = (struct fh_catalog_request){
        .op = FH_CATALOG_MOVE_LIST,
        .deadline_us = fh_roller_now_us(roller) + FH_ROLLER_CATALOG_DEADLINE_US,
        .arena = &roller->arena,
        .done_cb = listed_cb,
        .arg = roller,
    };
    request->as.move_list.unfinished = true;
    request->as.move_list.before = switches->before;
    request->as.move_list.limit = FH_ROLLER_PAGE;
    roller->walk.asking = fh_catalog_submit(roller->catalog, request) == FH_OK;
    roller->walk.broken = !roller->walk.asking;
}
