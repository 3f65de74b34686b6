// SPDX-License-Identifier: GPL-2.0
/* The Toeplitz hash of a flow. */

#include "zcnic_steer.h"

/* The 32 bits of the key that start at a bit, as the hash adds them up. */
static u32 zcnic_key_window(const u8 *key, unsigned int bit)
{
	unsigned int i, first = bit / 8;
	u64 bits = 0;

	for (i = first; i < first + 5; i++)
		bits = bits << 8 | key[i];
	return bits >> (8 - bit % 8);
}

/* Four bits of input at once: a bit at a time costs as much as a small copy. */
void zcnic_hash_prepare(struct zcnic_rss *rss)
{
	unsigned int nibble, value, bit;
	u32 sum;

	BUILD_BUG_ON(ZCNIC_HASH_INPUT + 4 > ZCNIC_KEY_SIZE);
	for (nibble = 0; nibble < 2 * ZCNIC_HASH_INPUT; nibble++) {
		for (value = 0; value < 16; value++) {
			for (bit = 0, sum = 0; bit < 4; bit++)
				if (value & (8 >> bit))
					sum ^= zcnic_key_window(rss->key, 4 * nibble + bit);
			rss->toeplitz[nibble][value] = sum;
		}
	}
}

static u32 zcnic_toeplitz(const struct zcnic_rss *rss, const u8 *input, unsigned int length)
{
	const u32 (*row)[16] = rss->toeplitz;
	u32 sum = 0;

	for (; length--; input++, row += 2)
		sum ^= row[0][*input >> 4] ^ row[1][*input & 15];
	return sum;
}

/*
 * A symmetric transformation makes both directions of a flow the same input.
 * It is only ever on where a source is hashed with its destination.
 */
static void zcnic_transform(u8 xfrm, u8 *source, u8 *destination, unsigned int length)
{
	unsigned int i;
	u8 mixed;

	for (i = 0; i < length; i++) {
		mixed = source[i] ^ destination[i];
		source[i] = xfrm & RXH_XFRM_SYM_XOR ? mixed : source[i] | destination[i];
		destination[i] = mixed;
	}
}

static unsigned int zcnic_pick(u8 *input, unsigned int length, const u8 *field,
			       unsigned int size, u32 wanted)
{
	if (!wanted)
		return length;
	memcpy(input + length, field, size);
	return length + size;
}

u32 zcnic_hash(const struct zcnic_rss *rss, const struct zcnic_flow *flow, u32 fields)
{
	unsigned int address = flow->user_type == IPV4_USER_FLOW ? 4 : 16;
	u8 tuple[ZCNIC_HASH_INPUT], input[ZCNIC_HASH_INPUT];
	u8 *ports = tuple + 2 * address;
	unsigned int length = 0;

	memcpy(tuple, flow->words, 2 * address + 4);
	if (rss->input_xfrm) {
		zcnic_transform(rss->input_xfrm, tuple, tuple + address, address);
		zcnic_transform(rss->input_xfrm, ports, ports + 2, 2);
	}
	length = zcnic_pick(input, length, tuple, address, fields & RXH_IP_SRC);
	length = zcnic_pick(input, length, tuple + address, address, fields & RXH_IP_DST);
	length = zcnic_pick(input, length, ports, 2, fields & RXH_L4_B_0_1);
	length = zcnic_pick(input, length, ports + 2, 2, fields & RXH_L4_B_2_3);
	return zcnic_toeplitz(rss, input, length);
}
