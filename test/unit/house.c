/* The places for strangers, and where strangers come from, looked at from inside with a clock that
   the test turns. */
#include "raw.h"
#include "wire/address.h"
#include "wire/house.h"
#include <arpa/inet.h>
#include <netinet/in.h>

#define MS ((int64_t)1000000)

static prong_time at_ms(int64_t ms)
{
	return (prong_time){ 1000000 * MS + ms * MS };
}

/* --- sources ------------------------------------------------------------------------------- */

/* So many fail there, all at once. */
static void fails(struct prongi_sources *s, uint64_t id, int n, int64_t ms)
{
	for (int i = 0; i < n; i++) {
		uint32_t place = prongi_sources_enter(s, id);

		prongi_sources_failed(s, place, at_ms(ms));
		prongi_sources_leave(s, place);
	}
}

/* How many ms the next from there has to wait. */
static int64_t delay(struct prongi_sources *s, uint64_t id, int64_t ms)
{
	uint32_t place = prongi_sources_enter(s, id);
	int64_t ns = prongi_sources_delay(s, place, at_ms(ms));

	prongi_sources_leave(s, place);
	CHECK_EQ(ns % MS, 0);
	return ns / MS;
}

static void each_failure_doubles_the_wait(void **state)
{
	static const int64_t want[] = { 0, 50, 100, 200, 400, 800, 1600, 2000, 2000 };
	struct prongi_sources s;

	(void)state;
	CHECK_OK(prongi_sources_make(&s, 4, 2000));
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		CHECK_EQ(delay(&s, 7, 0), want[i]);
		fails(&s, 7, 1, 0);
	}
	fails(&s, 7, 1000, 0);
	CHECK_EQ(delay(&s, 7, 0), 2000);
	CHECK_EQ(delay(&s, 8, 0), 0); /* from elsewhere */
	prongi_sources_free(&s);
}

static void a_proof_or_a_quiet_minute_ends_it(void **state)
{
	struct prongi_sources s;
	uint32_t place;

	(void)state;
	CHECK_OK(prongi_sources_make(&s, 4, 60000));
	fails(&s, 7, 4, 0);
	CHECK_EQ(delay(&s, 7, 59999), 400);
	CHECK_EQ(delay(&s, 7, 60000), 0);
	fails(&s, 7, 1, 60000); /* and counts anew */
	CHECK_EQ(delay(&s, 7, 60001), 50);
	place = prongi_sources_enter(&s, 7);
	prongi_sources_proved(&s, place);
	prongi_sources_leave(&s, place);
	CHECK_EQ(delay(&s, 7, 60001), 0);
	prongi_sources_free(&s);
}

static void it_can_be_turned_off(void **state)
{
	struct prongi_sources s;

	(void)state;
	CHECK_OK(prongi_sources_make(&s, 4, 0));
	fails(&s, 7, 10, 0);
	CHECK_EQ(delay(&s, 7, 0), 0);
	prongi_sources_free(&s);
}

static void who_has_no_address_never_waits(void **state)
{
	struct prongi_sources s;

	(void)state;
	CHECK_OK(prongi_sources_make(&s, 4, 2000));
	fails(&s, 0, 10, 0);
	CHECK_EQ(delay(&s, 0, 0), 0);
	prongi_sources_free(&s);
}

/* Thousands of addresses fail, and the table is what it was; the latest are remembered. */
static void the_table_is_bounded(void **state)
{
	const uint64_t most = (uint64_t)scaled(20000);
	struct prongi_sources s;
	uint32_t room, held[3];

	(void)state;
	CHECK_OK(prongi_sources_make(&s, 3, 2000));
	room = s.room;
	for (int i = 0; i < 3; i++)
		held[i] = prongi_sources_enter(&s, most + 1 + (uint64_t)i);
	prongi_sources_leave(&s, held[2]);
	for (uint64_t id = 1; id <= most; id++)
		fails(&s, id, 1, (int64_t)id);
	CHECK_EQ(s.room, room);
	CHECK(s.used <= room);
	CHECK_EQ(delay(&s, most, (int64_t)most), 50);
	CHECK_EQ(delay(&s, most - 200, (int64_t)most), most > 200 ? 50 : 0);
	CHECK_EQ(delay(&s, most - 300, (int64_t)most), 0);
	for (int i = 0; i < 2; i++) { /* who is here was not pushed out */
		CHECK_EQ(s.at[held[i]].id, most + 1 + (uint64_t)i);
		CHECK_EQ(s.at[held[i]].here, 1);
	}
	prongi_sources_free(&s);
}

static uint64_t source_of(const char *text)
{
	struct prongi_place p = { .size = sizeof p.at };
	struct sockaddr_in *in = (void *)&p.at;
	struct sockaddr_in6 *in6 = (void *)&p.at;

	p.at.ss_family = AF_UNIX;
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
		p.at.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
		p.at.ss_family = AF_INET6;
	return prongi_address_source(&p);
}

static void a_network_of_v6_is_one_source(void **state)
{
	(void)state;
	CHECK(source_of("10.0.0.1") != source_of("10.0.0.2"));
	CHECK(source_of("10.0.0.1") == source_of("::ffff:10.0.0.1"));
	CHECK(source_of("2001:db8:1:2::1") == source_of("2001:db8:1:2:ffff::"));
	CHECK(source_of("2001:db8:1:2::1") != source_of("2001:db8:1:3::1"));
	CHECK(source_of("32.1.13.184") != source_of("2001:db8::1"));
	CHECK(source_of("127.0.0.1") != 0);
	CHECK(source_of("::1") != 0);
	CHECK(source_of("none") == 0);
}

/* --- the house ----------------------------------------------------------------------------- */

static struct prongi_stranger *comes(struct prongi_house *h, uint64_t source, int64_t ms)
{
	struct prongi_stranger *s = prongi_house_enter(h, source);

	prongi_stream_init(&s->stream, 100000, 1, 1);
	prongi_house_seat(h, s, at_ms(ms));
	return s;
}

static void goes(struct prongi_house *h, struct prongi_stranger *s)
{
	s->stream.fd = -1;
	prongi_house_leave(h, s);
}

static void the_eldest_of_the_largest_crowd_goes_first(void **state)
{
	struct prongi_house h = { 0 };
	struct prongi_stranger *a, *b[3], *c;

	(void)state;
	CHECK_OK(prongi_house_make(&h, 6, 0));
	CHECK(prongi_house_least_welcome(&h) == NULL);
	a = comes(&h, 1, 0);
	CHECK(prongi_house_least_welcome(&h) == a);
	for (int i = 0; i < 3; i++)
		b[i] = comes(&h, 2, 1 + i);
	c = comes(&h, 3, 9);
	CHECK(prongi_house_least_welcome(&h) == b[0]);
	CHECK_EQ(prongi_house_crowd(&h, b[2]), 3);
	prongi_house_settle(&h, b[0]); /* he has proved the key: he keeps his place */
	CHECK(prongi_house_least_welcome(&h) == b[1]);
	CHECK_EQ(h.n, 5);
	goes(&h, b[1]);
	CHECK(prongi_house_least_welcome(&h) == a);
	goes(&h, a);
	CHECK(prongi_house_least_welcome(&h) == b[2]);
	goes(&h, b[2]);
	CHECK(prongi_house_least_welcome(&h) == c);
	goes(&h, c);
	goes(&h, b[0]);
	CHECK(prongi_house_least_welcome(&h) == NULL);
	CHECK_EQ(h.n, 0);
	prongi_house_free(&h);
}

static struct prongi_stranger *stands(struct prongi_house *h, uint64_t source)
{
	struct prongi_stranger *s = prongi_house_enter(h, source);

	prongi_stream_init(&s->stream, 100000, 1, 1);
	CHECK(s->lobbied);
	return s;
}

/* Who came first gets a place first, anybody may leave, and nobody there is thrown out. */
static void the_lobby_is_a_queue(void **state)
{
	struct prongi_house h = { 0 };
	struct prongi_stranger *s[5], *a, *b;
	prong_time when;

	(void)state;
	CHECK_OK(prongi_house_make(&h, 8, 0));
	a = comes(&h, 1, 5);
	for (int i = 0; i < 5; i++)
		s[i] = stands(&h, 2);
	CHECK_EQ(h.lobbied, 5);
	CHECK(prongi_house_least_welcome(&h) == a);
	CHECK(prongi_house_makes_room(&h, s[0], 7 * MS, &when) == a);
	CHECK_EQ(when.ns_, at_ms(12).ns_); /* he is one, and they are five: after his respite */
	b = stands(&h, 1);
	CHECK_EQ(prongi_house_crowd(&h, b), 2);
	goes(&h, s[2]);
	goes(&h, s[4]);
	CHECK(h.lobby == s[0]);
	prongi_house_seat(&h, s[0], at_ms(6));
	CHECK(h.lobby == s[1]);
	CHECK(prongi_house_makes_room(&h, s[1], 7 * MS, &when) == s[0]);
	CHECK_EQ(when.ns_, at_ms(13).ns_);
	CHECK(prongi_house_makes_room(&h, b, 7 * MS, &when) == s[0]);
	CHECK_EQ(when.ns_, at_ms(6).ns_); /* they are more: at once */
	goes(&h, s[1]);
	CHECK(h.lobby == s[3]);
	goes(&h, s[3]);
	CHECK(h.lobby == b);
	goes(&h, b);
	CHECK(h.lobby == NULL && h.lobbied == 0);
	b = stands(&h, 3);
	CHECK(h.lobby == b);
	prongi_house_free(&h);
}

enum {
	PLACES = 20,
	ROOM = 40, /* with the lobby */
	SOURCES = 5
};

/* The same, slowly. */
static struct prongi_stranger *slow_first(struct prongi_house *h)
{
	struct prongi_stranger *first = NULL, *s;

	for (uint32_t i = 0; i < ROOM; i++) {
		s = prongi_house_at(h, i);
		if (s && !s->settled && s->timer && (!first || s->wakes.ns_ < first->wakes.ns_))
			first = s;
	}
	return first;
}

static uint32_t slow_crowd(struct prongi_house *h, uint32_t source)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ROOM; i++) {
		struct prongi_stranger *s = prongi_house_at(h, i);

		n += s && !s->settled && s->source == source;
	}
	return n;
}

static void agrees(struct prongi_house *h)
{
	struct prongi_stranger *first = prongi_house_first(h), *want = slow_first(h);
	struct prongi_stranger *worst = prongi_house_least_welcome(h);

	CHECK((first == NULL) == (want == NULL));
	CHECK(!first || first->wakes.ns_ == want->wakes.ns_);
	for (uint32_t i = 0; i < ROOM; i++) {
		struct prongi_stranger *s = prongi_house_at(h, i);

		if (!s || s->settled)
			continue;
		CHECK_EQ(prongi_house_crowd(h, s), slow_crowd(h, s->source));
		CHECK(prongi_house_crowd(h, s) <= prongi_house_crowd(h, worst));
		if (s->source == worst->source)
			CHECK(s->came.ns_ >= worst->came.ns_);
	}
}

/* They come, wait, prove it and go in any order: it is as a list that is looked through says. */
static void it_is_what_a_list_would_say(void **state)
{
	struct prongi_house h = { 0 };
	uint64_t x = 88172645463325252u;

	(void)state;
	CHECK_OK(prongi_house_make(&h, PLACES, 0));
	CHECK_EQ(h.room, ROOM);
	for (int64_t i = 0; i < scaled(20000); i++) {
		struct prongi_stranger *s;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		s = prongi_house_at(&h, x % ROOM);
		if (!s && h.n < ROOM) {
			s = comes(&h, 1 + x / ROOM % SOURCES, i);
			prongi_house_wake(&h, s, at_ms((int64_t)(x >> 40)));
		} else if (s && x >> 20 & 3) {
			goes(&h, s);
		} else if (s && !s->settled && x >> 22 & 1) {
			prongi_house_settle(&h, s);
		} else if (s && !s->settled) {
			prongi_house_wake(&h, s,
					  x >> 23 & 1 ? at_ms((int64_t)(x >> 40)) : PRONG_FOREVER);
		}
		agrees(&h);
	}
	prongi_house_free(&h);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(each_failure_doubles_the_wait),
		CASE(a_proof_or_a_quiet_minute_ends_it),
		CASE(it_can_be_turned_off),
		CASE(who_has_no_address_never_waits),
		CASE(the_table_is_bounded),
		CASE(a_network_of_v6_is_one_source),
		CASE(the_eldest_of_the_largest_crowd_goes_first),
		CASE(the_lobby_is_a_queue),
		CASE(it_is_what_a_list_would_say),
	};

	test_begin(argc, argv, TEST_CLOSED, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
