/* Crash handlers: when a signal is about to kill the process, its registers and the top of its
   stack are copied to a place that outlives it.  Nothing else happens here: the stack is unwound
   and named by whoever reads the report, linux_unwind.c and linux_symbols.c.

   A handler calls nothing that is not safe in one: it takes no lock, allocates nothing, walks no
   stack.  It reads the stack through the kernel, so that no pointer, however wild, makes it fault;
   and all signals are blocked in it, so that a fault all the same is the end at once.

   After that it is as if the handler had not been there.  Where there was a handler before, that
   one is called.  Else its action is restored and the signal sent again, with all that came with
   it: it kills when the handler returns, at the instruction that it was about, and the core dump
   shows that one.

   Copies of this process, made with fork(), have the handlers too: there they only pass on. */
#define _GNU_SOURCE
#include "os/os.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE   ((uint64_t)4096) /* or a multiple of it: the smallest that one can be */
#define PIECES (PRONGI_STACK / 4096 + 1)
#define GAP    64    /* pages below the stack that an overflow may have come to */
#define RED    128   /* bytes below the stack pointer that are in use */
#define SPACE  65536 /* for handlers to run on, beside what the kernel puts there */
#define TURNS  200   /* milliseconds that a thread waits for another's record */

static const int caught[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS };

#define CAUGHT (sizeof caught / sizeof *caught)

/* Whose turn it is to record. */
enum {
	READY,
	BUSY,   /* a thread records */
	LAST,   /* it has, and kills the process */
	CLOSED, /* the place is gone */
};

static struct {
	struct prongi_crash *to;
	int pid;
	_Atomic uint32_t turn;
	struct sigaction old[CAUGHT];
	bool ours[CAUGHT];
} me;

/* What the calling thread's handlers run on, when that is ours. */
static _Thread_local struct {
	void *base;
	size_t size;
} alternate __attribute__((tls_model("initial-exec")));

/* --- recording ------------------------------------------------------------------------------- */

/* In the order of the debugging format, the stack pointer at PRONGI_REG_SP, the place last. */
#if defined(__x86_64__)
static void copy_registers(struct prongi_crash *to, const ucontext_t *from)
{
	static const int order[] = { REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
				     REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
				     REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP };

	for (size_t i = 0; i < PRONGI_REGS; i++)
		to->reg[i] = (uint64_t)from->uc_mcontext.gregs[order[i]];
}
#elif defined(__aarch64__)
static void copy_registers(struct prongi_crash *to, const ucontext_t *from)
{
	for (size_t i = 0; i < 31; i++)
		to->reg[i] = from->uc_mcontext.regs[i];
	to->reg[31] = from->uc_mcontext.sp;
	to->reg[32] = from->uc_mcontext.pc;
}
#else
static void copy_registers(struct prongi_crash *to, const ucontext_t *from)
{
	(void)to;
	(void)from;
}
#endif

/* Without the call for that: where a page is mapped it can be read, as stacks are. */
static size_t read_mapped(void *to, uint64_t at, size_t n)
{
	size_t done = 0;

	while (done < n) {
		uint64_t page = (at + done) & ~(PAGE - 1);
		size_t rest = (size_t)(page + PAGE - at - done);
		unsigned char in_memory[16];

		if (syscall(SYS_mincore, page, 1, in_memory) != 0)
			break;
		rest = rest < n - done ? rest : n - done;
		memcpy((char *)to + done, (const void *)(uintptr_t)(at + done), rest);
		done += rest;
	}
	return done;
}

/* Copy up to n bytes from the address, as far as there is memory.  Return how many. */
static size_t read_memory(void *to, uint64_t at, size_t n)
{
	struct iovec here = { to, n }, there[PIECES];
	size_t pieces = 0, done = 0;
	long r;

	for (; done < n && pieces < PIECES; pieces++) {
		size_t rest = (size_t)(PAGE - ((at + done) & (PAGE - 1)));

		rest = rest < n - done ? rest : n - done;
		there[pieces] = (struct iovec){ (void *)(uintptr_t)(at + done), rest };
		done += rest;
	}
	here.iov_len = done;
	r = syscall(SYS_process_vm_readv, me.pid, &here, 1L, there, pieces, 0L);
	if (r < 0 && (errno == ENOSYS || errno == EPERM))
		return read_mapped(to, at, n);
	return r < 0 ? 0 : (size_t)r;
}

/* The stack from its pointer on; after an overflow that points to where there is none. */
static void copy_stack(struct prongi_crash *to)
{
	uint64_t at = to->reg[PRONGI_REG_SP] - RED;

	for (int i = 0; i < GAP; i++) {
		size_t n = read_memory(to->stack, at, sizeof to->stack);

		if (n) {
			to->base = at;
			to->size = (uint32_t)n;
			return;
		}
		at = (at & ~(PAGE - 1)) + PAGE;
	}
}

/* What the kernel says of a fault, when it was one and not just sent by somebody. */
static void copy_address(struct prongi_crash *to, int sig, const siginfo_t *info)
{
	bool fault = sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE;

	to->has_address = fault && info->si_code > 0 && info->si_code != SI_KERNEL;
	to->address = to->has_address ? (uintptr_t)info->si_addr : 0;
}

static void record(struct prongi_crash *to, int sig, const siginfo_t *info, const void *context)
{
	atomic_store_explicit(&to->whole, 0, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	to->first_thread = syscall(SYS_gettid) == me.pid;
	copy_registers(to, context);
	copy_address(to, sig, info);
	to->size = 0;
	copy_stack(to);
	/* The kernel orders this before whoever hears of our end: for a death, the compiler's order
	   is enough. */
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&to->whole, (uint32_t)sig, memory_order_relaxed);
}

/* --- passing on ------------------------------------------------------------------------------ */

static bool is_default(const struct sigaction *a)
{
	return !(a->sa_flags & SA_SIGINFO) && a->sa_handler == SIG_DFL;
}

/* As the kernel would have called it, but for the stack. */
static void call(const struct sigaction *a, int sig, siginfo_t *info, void *context)
{
	sigset_t mask = ((ucontext_t *)context)->uc_sigmask;

	sigorset(&mask, &mask, &a->sa_mask);
	if (!(a->sa_flags & SA_NODEFER))
		sigaddset(&mask, sig);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	if (a->sa_flags & SA_RESETHAND)
		signal(sig, SIG_DFL);
	if (a->sa_flags & SA_SIGINFO)
		a->sa_sigaction(sig, info, context);
	else
		a->sa_handler(sig);
}

/* Die of it after the handler, which has blocked it, as if it came now. */
static void die_of(const struct sigaction *a, int sig, const siginfo_t *info)
{
	long pid = getpid(), tid = syscall(SYS_gettid);

	sigaction(sig, a, NULL);
	if (syscall(SYS_rt_tgsigqueueinfo, pid, tid, (long)sig, info) != 0)
		syscall(SYS_tgkill, pid, tid, (long)sig);
}

/* --- the handler ----------------------------------------------------------------------------- */

static bool step(uint32_t from, uint32_t to)
{
	/* acq_rel: pairs with itself: one thread at a time records. */
	return atomic_compare_exchange_strong_explicit(&me.turn, &from, to, memory_order_acq_rel,
						       memory_order_relaxed);
}

/* Another thread records: let it, for this one is going to kill them both. */
static bool take_turn(void)
{
	const struct timespec ms = { 0, 1000000 };

	for (int i = 0; i < TURNS; i++) {
		if (step(READY, BUSY))
			return true;
		if (atomic_load_explicit(&me.turn, memory_order_relaxed) != BUSY)
			return false;
		nanosleep(&ms, NULL);
	}
	return false;
}

static void on_crash(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	size_t i = 0;
	bool recorded;

	while (caught[i] != sig)
		i++;
	recorded = getpid() == me.pid && take_turn();
	if (recorded) {
		record(me.to, sig, info, context);
		step(BUSY, is_default(&me.old[i]) ? LAST : READY);
	}
	if (is_default(&me.old[i])) {
		die_of(&me.old[i], sig, info);
	} else {
		call(&me.old[i], sig, info, context);
		/* It has returned: this was not the end. */
		if (recorded && step(READY, BUSY)) {
			atomic_store_explicit(&me.to->whole, 0, memory_order_relaxed);
			step(BUSY, READY);
		}
	}
	errno = saved;
}

/* --- beginning and end ----------------------------------------------------------------------- */

static void catch (size_t i)
{
	struct sigaction a = { .sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigfillset(&a.sa_mask);
	sigaction(caught[i], NULL, &me.old[i]);
	/* Who has them ignored wants to see nothing of them; a real fault kills all the same. */
	if (!(me.old[i].sa_flags & SA_SIGINFO) && me.old[i].sa_handler == SIG_IGN)
		return;
	sigaction(caught[i], &a, NULL);
}

void prongi_os_crash_catch(struct prongi_crash *to)
{
	me.to = to;
	me.pid = getpid();
	/* release: pairs with step() in a handler. */
	atomic_store_explicit(&me.turn, READY, memory_order_release);
	prongi_os_crash_thread();
	for (size_t i = 0; i < CAUGHT; i++)
		catch (i);
}

bool prongi_os_crash_close(void)
{
	uint32_t was;

	do {
		was = atomic_load_explicit(&me.turn, memory_order_relaxed);
		if (was == BUSY)
			prongi_os_sleep(prong_in_ms(1));
	} while (was == BUSY || !step(was, CLOSED));
	return was != LAST;
}

void prongi_os_crash_thread(void)
{
	size_t least = getauxval(AT_MINSIGSTKSZ), size;
	stack_t now, ours = { 0 };
	void *base;

	if (!me.to || me.pid != getpid() || alternate.base || sigaltstack(NULL, &now))
		return;
	size = SPACE + ((least + PAGE - 1) & ~(PAGE - 1));
	if (!(now.ss_flags & SS_DISABLE) && now.ss_size >= size)
		return; /* its own will do */
	base = mmap(NULL, size + PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (base == MAP_FAILED)
		return; /* they run where they can */
	mprotect(base, PAGE, PROT_NONE);
	ours.ss_sp = (char *)base + PAGE;
	ours.ss_size = size;
	if (sigaltstack(&ours, NULL)) {
		munmap(base, size + PAGE);
		return;
	}
	alternate.base = base;
	alternate.size = size + PAGE;
}

void prongi_os_crash_thread_end(void)
{
	const stack_t none = { .ss_flags = SS_DISABLE };
	stack_t now;

	if (!alternate.base)
		return;
	if (sigaltstack(NULL, &now) == 0 && now.ss_sp == (char *)alternate.base + PAGE)
		sigaltstack(&none, NULL);
	munmap(alternate.base, alternate.size);
	alternate.base = NULL;
}
