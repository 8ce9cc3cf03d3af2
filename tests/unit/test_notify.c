/* LISTEN and NOTIFY without clients: what a session is handed, and sessions and others that notify
 * at once. What clients see is tested by tests/clients/notify_test.py. */
#include "tests/unit/query_fixture.h"
#include <pthread.h>

enum { N_TALKERS = 4, N_EACH = 300 };

struct heard {
    struct strbuf text; /* "channel payload\n" each */
    atomic_int woken;
};

static void on_wake(void *self)
{
    atomic_fetch_add(&((struct heard *)self)->woken, 1);
}

static void on_notification(void *self, int pid, const char *channel, const char *payload)
{
    struct heard *h = self;
    assert_true(pid >= 0);
    strbuf_addf(&h->text, "%s %s\n", channel, payload);
}

static void steps(void **state)
{
    struct query_fixture *f = *state;
    struct heard h = {0};
    session_on_notify(f->session, on_wake, &h);
    engine_notify(f->engine, "a", "nobody listens");
    assert_false(session_listens(f->session));
    query_must(f, "LISTEN a; LISTEN b");
    assert_true(session_listens(f->session));
    engine_notify(f->engine, "a", "of the engine");
    query_must(f, "BEGIN; NOTIFY b, '1'; SAVEPOINT s; NOTIFY b, '2'; ROLLBACK TO s; NOTIFY b, '1'");
    query_must(f, "SELECT pg_notify('a', 'by a query')");
    assert_int_equal(session_notifications(f->session, on_notification, &h), 0);
    assert_null(h.text.s); /* a transaction is open */
    query_must(f, "COMMIT");
    assert_int_equal(session_notifications(f->session, on_notification, &h), 0);
    assert_string_equal(h.text.s, "a of the engine\nb 1\na by a query\n");
    assert_int_equal(h.woken, 3);
    query_must(f, "UNLISTEN *");
    assert_false(session_listens(f->session));
    query_must(f, "LISTEN a"); /* what waits when the session goes, goes with it */
    engine_notify(f->engine, "a", "left");
    strbuf_release(&h.text);
}

struct talker {
    pthread_t thread;
    struct query_fixture f;
    int number;
};

/* Every other one is a session. */
static void *talk(void *arg)
{
    struct talker *t = arg;
    for (int i = 0; i < N_EACH; i++) {
        char text[80];
        snprintf(text, sizeof text, "%d.%d", t->number, i);
        if (t->number % 2) {
            engine_notify(t->f.engine, "crowd", text);
        } else {
            snprintf(text, sizeof text, "NOTIFY crowd, '%d.%d'", t->number, i);
            if (!query_run(&t->f, text)) abort();
        }
    }
    return NULL;
}

static void at_once(void **state)
{
    struct query_fixture *f = *state;
    struct talker talkers[N_TALKERS] = {0};
    struct heard h = {0};
    int next[N_TALKERS] = {0}, n = 0;
    session_on_notify(f->session, on_wake, &h);
    query_must(f, "LISTEN crowd");
    for (int i = 0; i < N_TALKERS; i++) {
        struct ctx c = {.arena = f->arena};
        talkers[i].number = i;
        talkers[i].f.engine = f->engine;
        assert_int_equal(session_new(&c, f->engine, &talkers[i].f.session), OK);
        assert_int_equal(pthread_create(&talkers[i].thread, NULL, talk, &talkers[i]), 0);
    }
    while (n < N_TALKERS * N_EACH) {
        strbuf_clear(&h.text);
        assert_int_equal(session_notifications(f->session, on_notification, &h), 0);
        char *save = NULL, *line = h.text.s ? strtok_r(h.text.s, "\n", &save) : NULL;
        for (; line; line = strtok_r(NULL, "\n", &save), n++) {
            int who, which;
            assert_int_equal(sscanf(line, "crowd %d.%d", &who, &which), 2);
            assert_int_equal(which, next[who]++);
        }
    }
    assert_int_equal(h.woken, N_TALKERS * N_EACH);
    for (int i = 0; i < N_TALKERS; i++) {
        pthread_join(talkers[i].thread, NULL);
        session_free(talkers[i].f.session);
        strbuf_release(&talkers[i].f.answer);
    }
    strbuf_release(&h.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(steps, query_open, query_close),
        cmocka_unit_test_setup_teardown(at_once, query_open, query_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
