/* What a start asks for: checked, and packed into one block of the heap, where the child reads it.

   Only what differs from what the server has anyway is packed; a plain start packs nothing. */
#include "run/process.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define FDS_MOST 250
#define S	 (&prongi_heap->server)

static int refuse(const char *what)
{
	return prongi_fail(-EINVAL, "process_start: %s", what);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* --- checking --------------------------------------------------------------------------------- */

static int check_fds(const prong_process_opts *o)
{
	if (o->nfds > FDS_MOST || (o->nfds && !o->fds))
		return refuse("nfds is more than 250, or fds is NULL");
	for (size_t i = 0; i < o->nfds; i++) {
		if (o->fds[i] < 3)
			return refuse("a descriptor in fds is below 3; use in, out and err");
		if (!is_open(o->fds[i]))
			return prongi_fail(-EBADF, "process_start: cannot pass descriptor %d: "
						   "not open", o->fds[i]);
		for (size_t k = 0; k < i; k++)
			if (o->fds[k] == o->fds[i])
				return refuse("a descriptor is twice in fds");
	}
	return 0;
}

static int check_stdio(const prong_stdio *s, const char *name)
{
	if ((unsigned)s->kind > PRONG_PATH)
		return prongi_fail(-EINVAL, "process_start: %s.kind is unknown", name);
	if (s->kind == PRONG_PATH && !s->path)
		return prongi_fail(-EINVAL, "process_start: %s.path is NULL", name);
	if (s->kind == PRONG_FD && !is_open(s->fd))
		return prongi_fail(-EBADF, "process_start: %s.fd %d is not open", name, s->fd);
	return 0;
}

static int check_limits(const prong_process_opts *o)
{
	if (o->nlimits > 16 || (o->nlimits && !o->limits))
		return refuse("nlimits is more than 16, or limits is NULL");
	for (size_t i = 0; i < o->nlimits; i++)
		if (!prongi_os_limit_known(o->limits[i].resource))
			return prongi_fail(-EINVAL, "process_start: no resource limit %d",
					   o->limits[i].resource);
	return 0;
}

static int check_options(const prong_process_opts *o)
{
	int r;

	for (size_t i = 0; i < sizeof o->reserved_ / sizeof *o->reserved_; i++)
		if (o->reserved_[i])
			return refuse("a reserved option is set");
	if (o->method != PRONG_FORKSERVER && o->method != PRONG_FORK)
		return refuse("no such start method");
	for (const char *const *e = o->env; e && *e; e++)
		if (!**e || **e == '=')
			return refuse("an entry of env has no name");
	r = check_fds(o);
	r = r ? r : check_stdio(&o->in, "in");
	r = r ? r : check_stdio(&o->out, "out");
	r = r ? r : check_stdio(&o->err, "err");
	r = r ? r : check_limits(o);
	return r ? r : prongi_writes_check(o->writes, "process_start");
}

int prongi_start_check(const struct prongi_start *s)
{
	if (!s->fn)
		return refuse("fn is NULL");
	if (s->size && !s->arg)
		return prongi_fail(-EFAULT, "process_start: arg is NULL, but size is %zu", s->size);
	if (!s->size && s->arg && !prong_shared(s->arg, 1))
		return prongi_fail(-EFAULT, "process_start: arg %p with size 0 is not in the heap",
				   s->arg);
	return check_options(s->opts);
}

/* --- packing ------------------------------------------------------------------------------- */

/* Where the wish's text is written; with a NULL base it is only counted. */
struct text {
	char *base;
	uint32_t used;
};

static uint32_t put(struct text *t, const char *string)
{
	uint32_t at = t->used;
	size_t n = strlen(string) + 1;

	if (t->base)
		memcpy(t->base + at, string, n);
	t->used += (uint32_t)n;
	return at;
}

static const prong_stdio *stdio_of(const prong_process_opts *o, int i)
{
	return i == 0 ? &o->in : i == 1 ? &o->out : &o->err;
}

/* What the starter is that the server is not. */
struct state {
	bool manner_differs, cwd_differs;
	struct prongi_manner manner;
	char cwd[4096];
};

/* A directory that has no name any more is still to be found by its process. */
static void read_cwd(struct state *s)
{
	if (!getcwd(s->cwd, sizeof s->cwd) || s->cwd[0] != '/')
		snprintf(s->cwd, sizeof s->cwd, "/proc/%d/cwd", prongi_os_pid());
	s->cwd_differs = strcmp(s->cwd, S->cwd) != 0;
}

static void read_state(struct state *s)
{
	prongi_os_manner(&s->manner);
	s->manner_differs = memcmp(&s->manner, &S->manner, sizeof s->manner) != 0;
	read_cwd(s);
}

/* The texts of the wish, into w or only counted. */
static void put_texts(struct prongi_wish *w, struct text *t, const struct prongi_start *s,
		      const struct state *state)
{
	const prong_process_opts *o = s->opts;
	struct prongi_wish nowhere, *to = w ? w : &nowhere;

	t->used = 1;
	for (int i = 0; i < 3; i++)
		if (stdio_of(o, i)->kind == PRONG_PATH)
			to->path[i] = put(t, stdio_of(o, i)->path);
	if (o->cwd)
		to->cwd = put(t, o->cwd);
	if (state->cwd_differs)
		to->starter_cwd = put(t, state->cwd);
	to->env = t->used;
	to->nenv = 0;
	for (const char *const *e = o->env; e && *e; e++, to->nenv++)
		put(t, *e);
	to->size = t->used;
}

static void fill(struct prongi_wish *w, const struct prongi_start *s, const struct state *state)
{
	const prong_process_opts *o = s->opts;
	struct text text = { w->text, 1 };

	w->has_manner = state->manner_differs;
	w->manner = state->manner;
	w->has_starter_cwd = state->cwd_differs;
	w->new_session = o->new_session;
	w->nfds = (uint32_t)o->nfds;
	for (size_t i = 0; i < o->nfds; i++)
		w->fds[i] = o->fds[i];
	for (int i = 0; i < 3; i++) {
		w->kind[i] = stdio_of(o, i)->kind;
		w->stdio_open[i] = w->kind[i] != PRONG_INHERIT || is_open(i);
	}
	w->nlimits = (uint32_t)o->nlimits;
	for (size_t i = 0; i < o->nlimits; i++) {
		w->limits[i].resource = o->limits[i].resource;
		w->limits[i].soft = o->limits[i].soft;
		w->limits[i].hard = o->limits[i].hard;
	}
	put_texts(w, &text, s, state);
}

static bool plain(const prong_process_opts *o, const struct state *s)
{
	return !s->manner_differs && !s->cwd_differs && !o->nfds && !o->env &&
	       !o->cwd && !o->nlimits && !o->new_session && o->in.kind == PRONG_INHERIT &&
	       o->out.kind == PRONG_INHERIT && o->err.kind == PRONG_INHERIT;
}

/* Also when the starter's standard streams are not what the server's were at prong_open(). */
int prongi_start_parcel(const struct prongi_start *s)
{
	const prong_process_opts *o = s->opts;
	int same;

	if (o->nfds)
		return 1;
	for (int i = 0; i < 3; i++)
		if (stdio_of(o, i)->kind == PRONG_FD)
			return 1;
	same = prongi_os_stdio_same(atomic_load_explicit(&S->pid, memory_order_relaxed), &S->stdio);
	return same < 0 ? -ECONNRESET : !same;
}

static size_t rounded(size_t n)
{
	return (n + 15) & ~(size_t)15;
}

static int pack(struct prong_process *p, const struct prongi_start *s, const struct state *state,
		bool wish, bool forked)
{
	bool large = s->size > sizeof p->inside;
	struct text count = { NULL, 1 };
	size_t before = large ? rounded(s->size) : 0, total, wishes = 0;
	char *block;
	int r;

	if (wish) {
		put_texts(NULL, &count, s, state);
		wishes = rounded(sizeof(struct prongi_wish) + count.used);
	}
	total = before + wishes + (s->opts->trace ? sizeof(struct prongi_crash) : 0);
	if (s->size > (size_t)1 << 46)
		return prongi_fail(-ENOMEM, "process_start: an argument of %zu bytes", s->size);
	p->arg = s->size ? p->inside : (void *)(uintptr_t)s->arg;
	if (total) {
		r = prongi_alloc_to((void **)&p->block, total, false);
		if (r)
			return r;
	}
	block = prongi_block(p);
	if (large)
		p->arg = block;
	if (s->size)
		memcpy(p->arg, s->arg, s->size);
	p->size = s->size;
	if (wish) {
		p->wish = (struct prongi_wish *)(void *)memset(block + before, 0, wishes);
		fill(p->wish, s, state);
	}
	if (s->opts->trace) {
		p->crash = (struct prongi_crash *)(void *)(block + before + wishes);
		memset(p->crash, 0, offsetof(struct prongi_crash, reg));
		p->crash->modules = forked ? prongi_os_modules() : S->modules;
	}
	return 0;
}

int prongi_start_pack(struct prong_process *p, const struct prongi_start *s, bool forked,
		      bool parcel)
{
	struct state state;

	memset(&state, 0, sizeof state);
	if (!forked)
		read_state(&state);
	return pack(p, s, &state, forked || parcel || !plain(s->opts, &state), forked);
}

int prongi_start_fds(const struct prongi_start *s, int fds[PRONGI_FDS], int *extra)
{
	const prong_process_opts *o = s->opts;
	int n = 3 + (int)o->nfds;

	*extra = -1;
	for (int i = 0; i < 3; i++) {
		const prong_stdio *stream = stdio_of(o, i);

		fds[i] = stream->kind == PRONG_FD ? stream->fd : is_open(i) ? i : -1;
		if (fds[i] < 0 && *extra < 0) {
			*extra = open("/dev/null", O_RDWR | O_CLOEXEC);
			if (*extra < 0)
				return prongi_fail(-errno, "process_start: /dev/null: %s",
						   strerror(errno));
		}
		if (fds[i] < 0)
			fds[i] = *extra; /* holds the place of what is not open */
	}
	for (size_t i = 0; i < o->nfds; i++)
		fds[3 + i] = o->fds[i];
	return n;
}
