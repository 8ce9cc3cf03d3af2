/* Which value has a given rank, and which is the most frequent, among values that come and go?
 *
 * A treap (Seidel, Aragon, "Randomized Search Trees", Algorithmica 16, 1996) of the distinct
 * values, by their words of sortkey.h, then as texts. Each node knows how many values its subtree
 * has, and the most that one value of it is there. Nodes lie in one buffer, those of values that
 * went are used again; a text's room stays with its node. */
#include "query/sortkey.h"
#include "query/window_internal.h"
#include <stdlib.h>

#define NONE (-1)

struct node {
    uint64_t word;
    int64_t count;       /* of this value */
    int64_t total, most; /* of the subtree */
    int32_t left, right;
    uint32_t priority;
    struct text_ref text;
};

struct multiset {
    enum type type;
    struct node *nodes;
    int64_t room, used;
    int32_t root, unused; /* linked by left */
    uint64_t random;
    struct text_heap heap;
};

struct key {
    uint64_t word;
    struct text text;
};

enum status multiset_new(struct ctx *c, enum type t, struct multiset **out)
{
    struct multiset *m = calloc(1, sizeof *m);
    if (!m) return fail(c, ERR_MEMORY, "out of memory");
    m->type = t;
    m->root = m->unused = NONE;
    m->random = UINT64_C(0x9e3779b97f4a7c15);
    *out = m;
    return OK;
}

void multiset_free(struct multiset *m)
{
    if (!m) return;
    buf_free(m->nodes);
    text_heap_free(&m->heap);
    free(m);
}

static struct key key_of(const struct multiset *m, const struct column *col, int64_t i)
{
    struct key k = {0};
    sortkey_encode(m->type, (const char *)col->values + (size_t)i * type_bytes(m->type), 1,
                   &k.word);
    if (type_is_varlen(m->type)) k.text = ((const struct text *)col->values)[i];
    return k;
}

static int compare(const struct multiset *m, const struct key *k, const struct node *n)
{
    if (k->word != n->word) return k->word < n->word ? -1 : 1;
    if (!type_is_varlen(m->type)) return 0;
    return text_order(k->text, (struct text){n->text.s, n->text.len});
}

static int64_t total(const struct multiset *m, int32_t i)
{
    return i == NONE ? 0 : m->nodes[i].total;
}

static int64_t most(const struct multiset *m, int32_t i)
{
    return i == NONE ? 0 : m->nodes[i].most;
}

static void sum_up(struct multiset *m, int32_t i)
{
    struct node *n = &m->nodes[i];
    int64_t l = most(m, n->left), r = most(m, n->right);
    n->total = total(m, n->left) + n->count + total(m, n->right);
    n->most = n->count;
    if (l > n->most) n->most = l;
    if (r > n->most) n->most = r;
}

static int32_t turn_right(struct multiset *m, int32_t i)
{
    int32_t l = m->nodes[i].left;
    m->nodes[i].left = m->nodes[l].right;
    m->nodes[l].right = i;
    sum_up(m, i);
    sum_up(m, l);
    return l;
}

static int32_t turn_left(struct multiset *m, int32_t i)
{
    int32_t r = m->nodes[i].right;
    m->nodes[i].right = m->nodes[r].left;
    m->nodes[r].left = i;
    sum_up(m, i);
    sum_up(m, r);
    return r;
}

/* Room for one more node. */
static enum status reserve(struct ctx *c, struct multiset *m)
{
    if (m->unused != NONE || m->used < m->room) return OK;
    int64_t room = m->room ? 2 * m->room : 64;
    void *fresh = room < INT32_MAX ? buf_try(c->budget, (size_t)room * sizeof *m->nodes) : NULL;
    if (!fresh) {
        fail(c, ERR_MEMORY, "out of memory: the frame of a median, quantile or mode is too large");
        return hint(c, "Raise %s, or leave ORDER BY out of the window.", memory_limit_name(c));
    }
    if (m->used) memcpy(fresh, m->nodes, (size_t)m->used * sizeof *m->nodes);
    buf_free(m->nodes);
    m->nodes = fresh;
    m->room = room;
    return OK;
}

static enum status new_node(struct ctx *c, struct multiset *m, const struct key *k, int32_t *out)
{
    int32_t i = m->unused;
    struct text_ref text = {0};
    if (i != NONE) {
        text = m->nodes[i].text;
    } else {
        i = (int32_t)m->used;
    }
    if (type_is_varlen(m->type)) TRY(text_heap_put(c, &m->heap, &text, k->text.s, k->text.len));
    if (m->unused != NONE)
        m->unused = m->nodes[i].left;
    else
        m->used++;
    m->random ^= m->random << 13; /* xorshift: Marsaglia (2003) */
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    m->nodes[i] = (struct node){.word = k->word,
                                .count = 1,
                                .total = 1,
                                .most = 1,
                                .left = NONE,
                                .right = NONE,
                                .priority = (uint32_t)(m->random >> 32),
                                .text = text};
    *out = i;
    return OK;
}

static enum status insert(struct ctx *c, struct multiset *m, int32_t i, const struct key *k,
                          int32_t *out)
{
    if (i == NONE) return new_node(c, m, k, out);
    int r = compare(m, k, &m->nodes[i]);
    if (r == 0) {
        m->nodes[i].count++;
    } else {
        int32_t child = r < 0 ? m->nodes[i].left : m->nodes[i].right;
        TRY(insert(c, m, child, k, &child));
        if (r < 0)
            m->nodes[i].left = child;
        else
            m->nodes[i].right = child;
        if (m->nodes[child].priority > m->nodes[i].priority) {
            *out = r < 0 ? turn_right(m, i) : turn_left(m, i);
            return OK;
        }
    }
    sum_up(m, i);
    *out = i;
    return OK;
}

enum status multiset_add(struct ctx *c, struct multiset *m, const struct column *col, int64_t i)
{
    struct key k = key_of(m, col, i);
    TRY(reserve(c, m));
    return insert(c, m, m->root, &k, &m->root);
}

/* The two subtrees of a node that goes, as one. */
static int32_t join(struct multiset *m, int32_t l, int32_t r)
{
    if (l == NONE) return r;
    if (r == NONE) return l;
    if (m->nodes[l].priority > m->nodes[r].priority) {
        m->nodes[l].right = join(m, m->nodes[l].right, r);
        sum_up(m, l);
        return l;
    }
    m->nodes[r].left = join(m, l, m->nodes[r].left);
    sum_up(m, r);
    return r;
}

static int32_t erase(struct multiset *m, int32_t i, const struct key *k)
{
    struct node *n = &m->nodes[i];
    int r = compare(m, k, n);
    if (r < 0) {
        n->left = erase(m, n->left, k);
    } else if (r > 0) {
        n->right = erase(m, n->right, k);
    } else if (--n->count == 0) {
        int32_t rest = join(m, n->left, n->right);
        n->left = m->unused;
        m->unused = i;
        return rest;
    }
    sum_up(m, i);
    return i;
}

void multiset_remove(struct multiset *m, const struct column *col, int64_t i)
{
    struct key k = key_of(m, col, i);
    m->root = erase(m, m->root, &k);
}

int64_t multiset_count(const struct multiset *m)
{
    return total(m, m->root);
}

double multiset_nth(const struct multiset *m, int64_t rank)
{
    int32_t i = m->root;
    for (;;) {
        const struct node *n = &m->nodes[i];
        int64_t before = total(m, n->left);
        if (rank < before) {
            i = n->left;
        } else if (rank < before + n->count) {
            double d;
            sortkey_decode(T_FLOAT64, &n->word, 1, &d);
            return d;
        } else {
            rank -= before + n->count;
            i = n->right;
        }
    }
}

void multiset_mode(const struct multiset *m, struct column *out, int64_t i)
{
    int32_t at = m->root;
    int64_t wanted = most(m, at);
    for (;;) {
        const struct node *n = &m->nodes[at];
        if (most(m, n->left) == wanted) {
            at = n->left;
        } else if (n->count == wanted) {
            char *to = (char *)out->values + (size_t)i * type_bytes(m->type);
            if (type_is_varlen(m->type))
                *(struct text *)(void *)to = (struct text){n->text.s, n->text.len};
            else
                sortkey_decode(m->type, &n->word, 1, to);
            return;
        } else {
            at = n->right;
        }
    }
}
