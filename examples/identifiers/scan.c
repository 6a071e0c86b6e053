/* The part of a C lexer that tells identifiers from everything else.  It does not join lines
   that end with a backslash in the middle of a word, and knows no raw strings of C++. */
#include <stdbool.h>
#include <string.h>
#include "scan.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* Each of these returns where what begins at p ends; that is after p, and at most end. */

static const char *word_end(const char *p, const char *end)
{
	while (p < end && (is_letter(*p) || is_digit(*p)))
		p++;
	return p;
}

/* Also 0x1p-3, 1'000 and what is no number in the end, such as 3rd. */
static const char *number_end(const char *p, const char *end)
{
	for (char last = 0; p < end; last = *p++) {
		bool exponent = last == 'e' || last == 'E' || last == 'p' || last == 'P';

		if (is_letter(*p) || is_digit(*p) || *p == '.')
			continue;
		if (*p == '\'' && p + 1 < end && (is_letter(p[1]) || is_digit(p[1])))
			continue;
		if (!(exponent && (*p == '+' || *p == '-')))
			break;
	}
	return p;
}

/* A literal ends with its line if nothing else ends it: an apostrophe in a text is none. */
static const char *literal_end(const char *p, const char *end)
{
	char quote = *p++;

	for (; p < end && *p != '\n'; p++) {
		if (*p == quote)
			return p + 1;
		if (*p == '\\' && p + 1 < end)
			p++;
	}
	return p;
}

static const char *line_end(const char *p, const char *end)
{
	while ((p = memchr(p, '\n', (size_t)(end - p))) && p[-1] == '\\')
		p++;
	return p ? p : end;
}

static const char *block_end(const char *p, const char *end)
{
	const char *slash = p + 2;

	while (slash < end && (slash = memchr(slash, '/', (size_t)(end - slash)))) {
		if (slash[-1] == '*' && slash > p + 2)
			return slash + 1;
		slash++;
	}
	return end;
}

static const char *slash_end(const char *p, const char *end)
{
	if (p + 1 < end && p[1] == '/')
		return line_end(p + 1, end);
	if (p + 1 < end && p[1] == '*')
		return block_end(p, end);
	return p + 1;
}

static const char *blanks_end(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

/* The # of a directive, its name, and the <header.h> of an include. */
static const char *directive_end(const char *p, const char *end)
{
	const char *name = blanks_end(p + 1, end);

	p = word_end(name, end);
	if (p - name < 7 || memcmp(name, "include", 7) != 0)
		return p;
	p = blanks_end(p, end);
	if (p < end && *p == '<')
		while (p < end && *p != '>' && *p != '\n')
			p++;
	return p;
}

/* Whether the word from p to q is the L, u, U or u8 of the literal that begins at q. */
static bool is_prefix(const char *p, const char *q, const char *end)
{
	if (q == end || (*q != '"' && *q != '\''))
		return false;
	if (q - p == 1)
		return *p == 'L' || *p == 'u' || *p == 'U';
	return q - p == 2 && p[0] == 'u' && p[1] == '8';
}

void scan(struct words *w, const char *text, size_t size)
{
	const char *p = text, *end = text + size, *word;
	bool line_begins = true; /* nothing but blanks and comments on this line yet */

	while (p < end) {
		bool blank = is_blank(*p) || *p == '/';

		if (is_letter(*p)) {
			word = p;
			p = word_end(word, end);
			if (!is_prefix(word, p, end))
				words_add(w, word, (size_t)(p - word));
		} else if (is_digit(*p)) {
			p = number_end(p, end);
		} else if (*p == '"' || *p == '\'') {
			p = literal_end(p, end);
		} else if (*p == '/') {
			p = slash_end(p, end);
		} else if (*p == '#' && line_begins) {
			p = directive_end(p, end);
		} else if (*p++ == '\n') {
			line_begins = true;
			continue;
		}
		line_begins = line_begins && blank;
	}
}
