/* table.c - every command and option there is. */
#include "ctl.h"

#define STACKS "retell livekit"
#define WATCH                                                                                      \
    {                                                                                              \
        "watch", NULL, NULL, "stay, and show how it goes"                                          \
    }
#define WHY                                                                                        \
    {                                                                                              \
        "why", "TEXT", NULL, "kept with it, for whoever asks later"                                \
    }
#define LIMIT                                                                                      \
    {                                                                                              \
        "limit", "N", NULL, "so many at most: 1 to 200"                                            \
    }
#define TO                                                                                         \
    {                                                                                              \
        "to", "STACK", STACKS, "where to: retell, livekit"                                         \
    }
#define DRY                                                                                        \
    {                                                                                              \
        "dry-run", NULL, NULL, "only the plan"                                                     \
    }
#define RETIRE                                                                                     \
    {                                                                                              \
        "retire", "HOW", "keep delete", "keep the old agent for a way back, or delete it"          \
    }
#define WISH                                                                                       \
    {                                                                                              \
        WHY, WATCH                                                                                 \
    }

const struct option global_options[] = {
    { "json", NULL, NULL, "the answer as it is, for programs" },
    { "server", "URL", NULL, "in place of PAT_SWITCHER_URL" },
    { "help", NULL, NULL, "of the command, or of all" },
    { "version", NULL, NULL, "of this program" },
    { NULL, NULL, NULL, NULL },
};

const struct command commands[] = {
    { "switch",
      "USER",
      "move a user to the other stack",
      { TO,
        DRY,
        { "hold", NULL, NULL, "stop before the cut-over, until it is promoted" },
        RETIRE,
        { "no-verify", NULL, NULL, "without the test call" },
        { "force", NULL, NULL, "though the plan names what speaks against it" },
        WHY,
        WATCH },
      cmd_switch },
    { "plan", "USER", "what a switch would keep, change and cost", { TO }, cmd_plan },
    { "status",
      "[SWITCH|USER]",
      "one switch with its steps, or the list",
      { WATCH, { "open", NULL, NULL, "those under way" }, LIMIT },
      cmd_status },
    { "promote", "SWITCH", "go on: past a hold, or out of the window for going back", WISH,
      cmd_wish },
    { "abort", "SWITCH", "stop before the cut-over, and put away what was made", WISH, cmd_wish },
    { "rollback", "SWITCH", "back to the old stack", WISH, cmd_wish },
    { "bulk start",
      "",
      "switch many, step by step, with gates",
      { TO,
        { "file", "FILE", "@file", "ids of users, one a line; - for stdin" },
        { "from", "STACK", STACKS, "everybody on that stack" },
        { "search", "TEXT", NULL, "everybody whose name, address or number has it" },
        { "mode", "MODE", "users calls", "more users with each step, or more of their new calls" },
        { "steps", "LIST", NULL, "like 5%,50%,100% or 10,100; all of it up to there" },
        { "at-a-time", "N", NULL, "switches under way at once" },
        { "hold", NULL, NULL, "wait for promote after each step" },
        { "no-verify", NULL, NULL, "without test calls" },
        { "no-gates", NULL, NULL, "do not compare the stacks on the way" },
        RETIRE,
        { "name", "TEXT", NULL, "what it is called" },
        WHY,
        DRY,
        WATCH },
      cmd_bulk_start },
    { "bulk list", "", "rollouts, newest first", { LIMIT }, cmd_bulk_list },
    { "bulk status", "ROLLOUT", "one rollout, with its gates", { WATCH }, cmd_bulk_status },
    { "bulk pause", "ROLLOUT", "begin nothing new", WISH, cmd_bulk_wish },
    { "bulk resume", "ROLLOUT", "go on after a pause", WISH, cmd_bulk_wish },
    { "bulk promote", "ROLLOUT", "go on where a person is waited for", WISH, cmd_bulk_wish },
    { "bulk abort", "ROLLOUT", "stop; those who have moved stay", WISH, cmd_bulk_wish },
    { "bulk rollback", "ROLLOUT", "everybody back who can", WISH, cmd_bulk_wish },
    { "bulk report",
      "ROLLOUT",
      "who, when, by which figures",
      { { NULL, NULL, NULL, NULL } },
      cmd_bulk_report },
    { "explain",
      "NUMBER",
      "what a router would do with a call, and why",
      { { "from", "NUMBER", NULL, "who calls, or anonymous" },
        { "at", "TIME", NULL, "like 2026-11-23T15:30, by the user's clock; or with an offset" } },
      cmd_explain },
    { "usage",
      "[USER]",
      "usage and cost; of everybody, or of one",
      { { "from", "DAY", NULL, "the first day, like 2026-11-01" },
        { "to", "DAY", NULL, "the last one" },
        { "by", "LIST", NULL, "of day, stack, component, user, account, model, with commas" },
        { "tz", "ZONE", NULL, "whose days, like Europe/Berlin; UTC's if not said" },
        { "csv", NULL, NULL, "for spreadsheets" },
        { "limit", "N", NULL, "one page of so many rows: 1 to 1000; all of them if not said" },
        { "after", "N", NULL, "from behind this one on" } },
      cmd_usage },
    { "retail list",
      "",
      "what customers are charged, by tier",
      { { NULL, NULL, NULL, NULL } },
      cmd_retail },
    { "retail add",
      "TIER",
      "a price of a tier, from a moment on",
      { { "price", "DOLLARS", NULL, "a minute, like 0.12" },
        { "from", "TIME", NULL, "like 2026-12-01T00:00:00Z; now if not said" },
        { "note", "TEXT", NULL, "for people" },
        WHY },
      cmd_retail_add },
    { "retail drop", "PRICE", "take away one that has never held", { WHY }, cmd_retail_drop },
    { "tier",
      "USER",
      "what a user is charged a minute",
      { { "set", "TIER", NULL, "put him on this one, for calls from now on" }, WHY },
      cmd_tier },
    { "replay delivery",
      "DELIVERY",
      "one webhook again",
      { { "user", "USER", NULL, "whose; mine if not said" } },
      cmd_replay_delivery },
    { "replay endpoint",
      "ENDPOINT",
      "webhooks of an endpoint again: those given up",
      { { "user", "USER", NULL, "whose; mine if not said" },
        { "since", "TIME", NULL, "only newer ones, like 2026-11-23T00:00:00Z" },
        { "delivered", NULL, NULL, "and those that had arrived" } },
      cmd_replay_endpoint },
    { "calls",
      "",
      "calls, newest first",
      { { "user", "USER", NULL, "whose; mine if not said" },
        { "all", NULL, NULL, "everybody's" },
        { "live", NULL, NULL, "those under way" },
        { "stack", "STACK", STACKS, "on that stack" },
        { "number", "DIGITS", NULL, "from or to it" },
        { "since", "TIME", NULL, "offered since then, like 2026-11-23T00:00:00Z" },
        LIMIT,
        { "before", "CALL", NULL, "older ones than this" } },
      cmd_calls },
    { "health", "", "both stacks in the last hour", { { NULL, NULL, NULL, NULL } }, cmd_health },
    { "users",
      "",
      "who there is",
      { { "search", "TEXT", NULL, "part of a name, an address or a number" },
        { "stack", "STACK", STACKS, "on that stack" },
        LIMIT,
        { "after", "USER", NULL, "the page behind this one" } },
      cmd_users },
    { "version",
      "",
      "of this program and of the server",
      { { NULL, NULL, NULL, NULL } },
      cmd_version },
    { "completion",
      "bash|zsh",
      "the shell's completion: source <(patchbayctl completion bash)",
      { { NULL, NULL, NULL, NULL } },
      cmd_completion },
    { "man",
      "",
      "this program's manual page, for man -l -",
      { { NULL, NULL, NULL, NULL } },
      cmd_man },
    { NULL, NULL, NULL, { { NULL, NULL, NULL, NULL } }, NULL },
};
