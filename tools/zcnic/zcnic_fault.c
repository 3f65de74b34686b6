// SPDX-License-Identifier: GPL-2.0
/* Faults on demand, and the files in debugfs that demand them. */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "zcnic_data.h"

static struct dentry *zcnic_root;

static bool zcnic_fault_armed(struct zcnic_fault *fault)
{
	return READ_ONCE(fault->nth) || atomic_read(&fault->once);
}

/* A packet of the right kind is there: is it its turn? */
static bool zcnic_fault_strikes(struct zcnic_fault *fault)
{
	u32 nth = READ_ONCE(fault->nth);
	bool hit;

	if (!zcnic_fault_armed(fault))
		return false;

	hit = !atomic_dec_if_positive(&fault->once);
	hit |= nth && !((u32)atomic_inc_return(&fault->seen) % nth);
	if (hit)
		atomic64_inc(&fault->hits);
	return hit;
}

/* As a packet of the peer reaches this port; only TCP with payload counts. */
unsigned int zcnic_faults_wire(struct zcnic_port *port, struct sk_buff *skb)
{
	struct zcnic_faults *faults = &port->faults;
	struct zcnic_frame frame;
	unsigned int hits = 0;

	if (likely(!zcnic_fault_armed(&faults->delay) && !zcnic_fault_armed(&faults->reorder)))
		return 0;

	zcnic_parse(skb, &frame);
	if (!frame.tcp || !frame.payload)
		return 0;
	if (zcnic_fault_strikes(&faults->delay))
		hits |= ZCNIC_HIT_DELAY;
	if (zcnic_fault_strikes(&faults->reorder))
		hits |= ZCNIC_HIT_REORDER;
	return hits;
}

/* As a TCP frame with payload is about to be received. */
unsigned int zcnic_faults_frame(struct zcnic_port *port, bool splittable)
{
	struct zcnic_faults *faults = &port->faults;
	unsigned int hits = 0;

	if (zcnic_fault_strikes(&faults->drop))
		return ZCNIC_HIT_DROP;
	if (zcnic_fault_strikes(&faults->corrupt))
		hits |= ZCNIC_HIT_CORRUPT;
	if (splittable && zcnic_fault_strikes(&faults->unsplit))
		hits |= ZCNIC_HIT_UNSPLIT;
	return hits;
}

/* A queue operation is called; under the instance lock. */
int zcnic_fault_errno(struct zcnic_port *port, u32 *left, atomic64_t *hits)
{
	u32 n = READ_ONCE(*left);

	if (!n)
		return 0;
	WRITE_ONCE(*left, n - 1);
	atomic64_inc(hits);
	return -(int)clamp(READ_ONCE(port->faults.fail_errno), 1, MAX_ERRNO);
}

static int zcnic_nth_get(void *data, u64 *value)
{
	struct zcnic_fault *fault = data;

	*value = READ_ONCE(fault->nth);
	return 0;
}

static int zcnic_nth_set(void *data, u64 value)
{
	struct zcnic_fault *fault = data;

	if (value > U32_MAX)
		return -EINVAL;
	atomic_set(&fault->seen, 0);
	WRITE_ONCE(fault->nth, value);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(zcnic_nth_fops, zcnic_nth_get, zcnic_nth_set, "%llu\n");

static int zcnic_link_get(void *data, u64 *value)
{
	struct zcnic_port *port = data;

	*value = port->faults.link;
	return 0;
}

static int zcnic_link_set(void *data, u64 value)
{
	struct zcnic_port *port = data;

	mutex_lock(&zcnic_link_lock);
	if (port->faults.link != !!value) {
		port->faults.link = value;
		atomic64_inc(&port->faults.link_hits);
		zcnic_link_update(port);
	}
	mutex_unlock(&zcnic_link_lock);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(zcnic_link_fops, zcnic_link_get, zcnic_link_set, "%llu\n");

static int zcnic_counters_show(struct seq_file *file, void *unused)
{
	struct zcnic_port *port = file->private;
	unsigned int i, n = zcnic_counter_count(port);
	u64 *values;
	u8 *names;

	names = kvcalloc(n, ETH_GSTRING_LEN, GFP_KERNEL);
	values = kvcalloc(n, sizeof(*values), GFP_KERNEL);
	if (names && values) {
		zcnic_counter_names(port, names);
		zcnic_counter_values(port, values);
		for (i = 0; i < n; i++)
			seq_printf(file, "%.*s %llu\n", ETH_GSTRING_LEN,
				   names + i * ETH_GSTRING_LEN, values[i]);
	}
	kvfree(names);
	kvfree(values);
	return names && values ? 0 : -ENOMEM;
}

DEFINE_SHOW_ATTRIBUTE(zcnic_counters);

static void zcnic_debugfs_fault(struct zcnic_port *port, struct zcnic_fault *fault,
				const char *name)
{
	char file[32];

	snprintf(file, sizeof(file), "%s_nth", name);
	debugfs_create_file(file, 0600, port->dir, fault, &zcnic_nth_fops);
	snprintf(file, sizeof(file), "%s_once", name);
	debugfs_create_atomic_t(file, 0600, port->dir, &fault->once);
}

void zcnic_debugfs_add(struct zcnic_port *port)
{
	struct zcnic_faults *faults = &port->faults;
	char name[16];

	snprintf(name, sizeof(name), "zc%u", port->id);
	port->dir = debugfs_create_dir(name, zcnic_root);
	zcnic_debugfs_fault(port, &faults->unsplit, "unsplit");
	zcnic_debugfs_fault(port, &faults->drop, "drop");
	zcnic_debugfs_fault(port, &faults->corrupt, "corrupt");
	zcnic_debugfs_fault(port, &faults->delay, "delay");
	zcnic_debugfs_fault(port, &faults->reorder, "reorder");
	debugfs_create_u32("delay_us", 0600, port->dir, &faults->delay_us);
	debugfs_create_bool("exhaust", 0600, port->dir, &faults->exhaust);
	debugfs_create_u32("fail_mem_alloc", 0600, port->dir, &faults->fail_mem_alloc);
	debugfs_create_u32("fail_start", 0600, port->dir, &faults->fail_start);
	debugfs_create_u32("fail_errno", 0600, port->dir, &faults->fail_errno);
	debugfs_create_file("link", 0600, port->dir, port, &zcnic_link_fops);
	debugfs_create_file("counters", 0400, port->dir, port, &zcnic_counters_fops);
}

void zcnic_debugfs_remove(struct zcnic_port *port)
{
	debugfs_remove(port->dir);
}

void zcnic_debugfs_init(void)
{
	zcnic_root = debugfs_create_dir(ZCNIC_NAME, NULL);
}

void zcnic_debugfs_exit(void)
{
	debugfs_remove(zcnic_root);
}
