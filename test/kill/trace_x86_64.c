/* x86-64 for the kill harness: registers, traps, and how long an instruction is. */
#include "trace.h"
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#define TRAP 0xcc /* int3 */

__asm__(".text\n"
	".globl kill_begin\n.type kill_begin, @function\n"
	"kill_begin: int3\n\tret\n.size kill_begin, .-kill_begin\n"
	".globl kill_end\n.type kill_end, @function\n"
	"kill_end: int3\n\tret\n.size kill_end, .-kill_end\n");

static void registers(pid_t pid, struct user_regs_struct *regs)
{
	if (ptrace(PTRACE_GETREGS, pid, NULL, regs))
		die("cannot read registers of %d", pid);
}

uint64_t trace_pc(pid_t pid)
{
	struct user_regs_struct regs;

	registers(pid, &regs);
	return regs.rip;
}

void trace_set_pc(pid_t pid, uint64_t pc)
{
	struct user_regs_struct regs;

	registers(pid, &regs);
	regs.rip = pc;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &regs))
		die("cannot write registers of %d", pid);
}

uint64_t trace_trap(pid_t pid)
{
	return trace_pc(pid) - 1;
}

static long peek(pid_t pid, uint64_t at)
{
	return ptrace(PTRACE_PEEKTEXT, pid, (void *)(uintptr_t)at, NULL);
}

static void poke(pid_t pid, uint64_t at, long word)
{
	if (ptrace(PTRACE_POKETEXT, pid, (void *)(uintptr_t)at, (void *)word))
		die("cannot set a trap at %#lx", (unsigned long)at);
}

long trace_break(pid_t pid, uint64_t at)
{
	long was = peek(pid, at);

	poke(pid, at, (was & ~0xffL) | TRAP);
	return was;
}

void trace_unbreak(pid_t pid, uint64_t at, long was)
{
	poke(pid, at, was);
}

void trace_watch(pid_t pid, uint64_t at)
{
	size_t registers_at = offsetof(struct user, u_debugreg);
	unsigned long on = at ? 1 : 0; /* the first one, locally, when it is executed */

	if ((at && ptrace(PTRACE_POKEUSER, pid, registers_at, at)) ||
	    ptrace(PTRACE_POKEUSER, pid, registers_at + 7 * sizeof on, on))
		die("cannot watch %#lx in %d", (unsigned long)at, pid);
}

bool trace_is_syscall(pid_t pid, uint64_t at)
{
	return (peek(pid, at) & 0xffff) == 0x050f;
}

long trace_syscall_number(pid_t pid)
{
	struct user_regs_struct regs;

	registers(pid, &regs);
	return (long)regs.orig_rax;
}

/* --- how long an instruction is ----------------------------------------------------------- */

/* What follows an opcode: a ModRM byte, and an immediate of so many bytes. */
enum {
	NONE = 0,
	IMM8 = 1,
	IMM16 = 2,
	IMM32 = 4,  /* 2 with the operand size prefix */
	IMM64 = 8,  /* of mov to a register with REX.W; else as IMM32 */
	OFFSET = 9, /* an address of 8 bytes */
	ENTER = 3,
	MODRM = 16,
	GROUP3 = 32, /* an immediate when reg is 0 or 1 */
	BAD = 64
};

struct decoder {
	const uint8_t *at, *end;
	bool narrow, wide; /* operand size prefix, REX.W */
	bool other, own;   /* REX.B; a prefix for thread-local data */
	bool reaches;      /* it touches memory by a register that is not the stack's */
};

static unsigned shape_of_one_byte(uint8_t op)
{
	if (op < 0x40) {
		static const uint8_t row[8] = { MODRM, MODRM, MODRM, MODRM, IMM8, IMM32, BAD, BAD };
		return row[op & 7];
	}
	if (op < 0x60 || (op >= 0x90 && op <= 0x9f && op != 0x9a))
		return NONE;
	if (op >= 0x70 && op < 0x80)
		return IMM8;
	if (op >= 0xb0 && op < 0xc0)
		return op < 0xb8 ? IMM8 : IMM64;
	if (op >= 0xd8 && op < 0xe0)
		return MODRM;
	switch (op) {
	case 0x63: case 0x84: case 0x85: case 0x86: case 0x87: case 0x88: case 0x89: case 0x8a:
	case 0x8b: case 0x8c: case 0x8d: case 0x8e: case 0x8f: case 0xd0: case 0xd1: case 0xd2:
	case 0xd3: case 0xfe: case 0xff:
		return MODRM;
	case 0x69: case 0x81: case 0xc7:
		return MODRM | IMM32;
	case 0x6b: case 0x80: case 0x83: case 0xc0: case 0xc1: case 0xc6:
		return MODRM | IMM8;
	case 0xf6: case 0xf7:
		return MODRM | GROUP3;
	case 0x68: case 0xa9: case 0xe8: case 0xe9:
		return IMM32;
	case 0x6a: case 0xa8: case 0xcd: case 0xe0: case 0xe1: case 0xe2: case 0xe3: case 0xe4:
	case 0xe5: case 0xe6: case 0xe7: case 0xeb:
		return IMM8;
	case 0xa0: case 0xa1: case 0xa2: case 0xa3:
		return OFFSET;
	case 0xc2: case 0xca:
		return IMM16;
	case 0xc8:
		return ENTER;
	default:
		return (op >= 0x6c && op <= 0x6f) || op >= 0xa4 ? NONE : BAD;
	}
}

static unsigned shape_of_two_bytes(uint8_t op)
{
	if (op >= 0x80 && op < 0x90)
		return IMM32;
	if ((op >= 0x70 && op <= 0x73) || op == 0xa4 || op == 0xac || op == 0xba || op == 0xc2 ||
	    (op >= 0xc4 && op <= 0xc6))
		return MODRM | IMM8;
	if (op == 0x05 || op == 0x06 || op == 0x08 || op == 0x09 || op == 0x0b || op == 0x77 ||
	    (op >= 0x30 && op <= 0x37) || (op >= 0xa0 && op <= 0xa2) ||
	    (op >= 0xa8 && op <= 0xaa) || (op >= 0xc8 && op <= 0xcf))
		return NONE;
	return MODRM;
}

/* Opcode maps 1 to 3, as VEX and EVEX number them: 0f, 0f 38, 0f 3a. */
static unsigned shape_in_map(unsigned map, uint8_t op)
{
	if (map == 2)
		return MODRM;
	return map == 3 ? MODRM | IMM8 : shape_of_two_bytes(op);
}

/* Pass a ModRM byte with its SIB byte and displacement; return its reg field, or -1. */
static int pass_modrm(struct decoder *d)
{
	if (d->end - d->at < 2)
		return -1;
	uint8_t modrm = *d->at++, mod = modrm >> 6, rm = modrm & 7;
	bool stack = rm == 4 && (*d->at & 7) == 4 && !d->other, fixed = mod == 0 && rm == 5;

	d->reaches = mod != 3 && !d->own && !fixed && !stack;
	if (mod != 3 && rm == 4) {
		uint8_t sib = *d->at++;
		if (mod == 0 && (sib & 7) == 5)
			d->at += 4;
	} else if (mod == 0 && rm == 5) {
		d->at += 4;
	}
	d->at += mod == 1 ? 1 : mod == 2 ? 4 : 0;
	return modrm >> 3 & 7;
}

static void pass_immediate(struct decoder *d, unsigned kind)
{
	static const uint8_t bytes[16] = { 0, 1, 2, 3, [OFFSET] = 8 };

	if (kind == IMM64 && d->wide)
		d->at += 8;
	else if (kind == IMM32 || kind == IMM64)
		d->at += d->narrow ? 2 : 4;
	else
		d->at += bytes[kind];
}

static bool is_prefix(uint8_t b)
{
	return b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3 || b == 0x2e ||
	       b == 0x36 || b == 0x3e || b == 0x26 || b == 0x64 || b == 0x65;
}

static void pass_prefixes(struct decoder *d)
{
	for (; d->at < d->end && is_prefix(*d->at); d->at++) {
		d->narrow |= *d->at == 0x66;
		d->own |= *d->at == 0x64;
	}
	if (d->at < d->end && (*d->at & 0xf0) == 0x40) {
		d->wide = *d->at & 8;
		d->other = *d->at++ & 1;
	}
}

/* Pass the opcode with its escape bytes; return what follows it. */
static unsigned pass_opcode(struct decoder *d)
{
	uint8_t op = *d->at++;

	if (op == 0xc5) { /* VEX of two bytes */
		d->at += 2;
		return shape_in_map(1, d->at[-1]);
	}
	if (op == 0xc4 || op == 0x62) { /* VEX of three bytes, EVEX */
		unsigned map = *d->at & (op == 0x62 ? 7 : 31);
		d->at += op == 0x62 ? 4 : 3;
		return shape_in_map(map, d->at[-1]);
	}
	if (op != 0x0f)
		return shape_of_one_byte(op);
	op = *d->at++;
	if (op != 0x38 && op != 0x3a)
		return shape_of_two_bytes(op);
	d->at++;
	return shape_in_map(op == 0x38 ? 2 : 3, 0);
}

/* Opcodes that touch memory by registers which no ModRM byte names, or may; and those that do not
   touch what theirs names. */
static bool always_reaches(const uint8_t *op)
{
	return (*op >= 0x6c && *op <= 0x6f) || (*op >= 0xa0 && *op <= 0xa7) ||
	       (*op >= 0xaa && *op <= 0xaf) || *op == 0xc4 || *op == 0xc5 || *op == 0x62 ||
	       (*op == 0x0f && op[1] == 0x05);
}

static bool never_reaches(const uint8_t *op)
{
	return *op == 0x8d || (*op == 0x0f && op[1] == 0x1f); /* lea, nop */
}

/* Return the length; 0: not known. */
static size_t decode(const uint8_t *code, size_t size, bool *reaches)
{
	uint8_t copy[24] = { 0 };
	struct decoder d = { .at = copy, .end = copy + sizeof copy };
	const uint8_t *op;
	unsigned shape;

	for (size_t i = 0; i < size && i < 15; i++)
		copy[i] = code[i];
	pass_prefixes(&d);
	op = d.at;
	shape = pass_opcode(&d);
	if (shape & BAD)
		return 0;
	if (shape & MODRM) {
		bool byte = d.at[-1] == 0xf6;
		int reg = pass_modrm(&d);
		if (shape & GROUP3 && reg < 2)
			pass_immediate(&d, byte ? IMM8 : IMM32);
	}
	pass_immediate(&d, shape & 15);
	*reaches = always_reaches(op) || (d.reaches && !never_reaches(op));
	return (size_t)(d.at - copy) <= size ? (size_t)(d.at - copy) : 0;
}

size_t trace_instruction_length(const uint8_t *code, size_t size)
{
	bool reaches;

	return decode(code, size, &reaches);
}

bool trace_instruction_reaches(const uint8_t *code, size_t size)
{
	bool reaches;

	return !decode(code, size, &reaches) || reaches;
}
