// SPDX-License-Identifier: GPL-2.0
/* Open, close, and changes of settings, with the port up or down. */
#include <linux/slab.h>
#include <net/netdev_lock.h>

#include "zcnic_data.h"

/* Memory for queues from..to-1, or none of it. */
static struct zcnic_rxmem *zcnic_mems_alloc(struct zcnic_port *port, unsigned int from,
					    unsigned int to)
{
	struct zcnic_rxmem *mems;
	unsigned int i;
	int err;

	mems = kvcalloc(port->max_queues, sizeof(*mems), GFP_KERNEL);
	if (!mems)
		return ERR_PTR(-ENOMEM);

	for (i = from; i < to; i++) {
		err = zcnic_mem_alloc(port, i, &mems[i]);
		if (err)
			goto err_free;
	}
	return mems;

err_free:
	while (i-- > from)
		zcnic_mem_free(&mems[i]);
	kvfree(mems);
	return ERR_PTR(err);
}

static int zcnic_queues_start(struct zcnic_port *port, unsigned int from, unsigned int to)
{
	struct zcnic_rxmem *mems;
	unsigned int i;

	mems = zcnic_mems_alloc(port, from, to);
	if (IS_ERR(mems))
		return PTR_ERR(mems);

	for (i = from; i < to; i++) {
		zcnic_rxq_attach(&port->rxq[i]);
		zcnic_rxq_run(&port->rxq[i], &mems[i]);
	}
	kvfree(mems);
	return 0;
}

static void zcnic_queues_stop(struct zcnic_port *port, unsigned int from, unsigned int to)
{
	struct zcnic_rxmem mem;
	unsigned int i;

	for (i = from; i < to; i++) {
		zcnic_rxq_halt(&port->rxq[i], &mem);
		zcnic_rxq_detach(&port->rxq[i]);
		zcnic_mem_free(&mem);
	}
}

int zcnic_open(struct net_device *dev)
{
	struct zcnic_port *port = netdev_priv(dev);
	int err;

	err = zcnic_queues_start(port, 0, port->queues);
	if (err) {
		netdev_err(dev, "no memory for the receive queues (%d)\n", err);
		return err;
	}

	mutex_lock(&zcnic_link_lock);
	WRITE_ONCE(port->up, true);
	zcnic_link_update(port);
	mutex_unlock(&zcnic_link_lock);
	netif_tx_start_all_queues(dev);
	return 0;
}

int zcnic_stop(struct net_device *dev)
{
	struct zcnic_port *port = netdev_priv(dev);

	netif_tx_disable(dev);
	mutex_lock(&zcnic_link_lock);
	WRITE_ONCE(port->up, false);
	zcnic_link_update(port);
	zcnic_tx_drain(port);
	mutex_unlock(&zcnic_link_lock);
	zcnic_queues_stop(port, 0, port->queues);
	return 0;
}

/**
 * zcnic_set_channels() - change the number of queues
 * @port:	up or down
 * @n:		at most max_queues
 * @extack:	what was wrong
 */
int zcnic_set_channels(struct zcnic_port *port, unsigned int n, struct netlink_ext_ack *extack)
{
	struct net_device *dev = port->dev;
	unsigned int old = port->queues;
	int err;

	netdev_assert_locked(dev);
	if (!n || n > port->max_queues) {
		NL_SET_ERR_MSG(extack, "no such number of queues");
		return -EINVAL;
	}

	if (port->up && n > old) {
		err = zcnic_queues_start(port, old, n);
		if (err) {
			NL_SET_ERR_MSG(extack, "no memory for more receive queues");
			return err;
		}
	}
	err = netif_set_real_num_queues(dev, n, n);
	if (err) {
		NL_SET_ERR_MSG(extack, "the kernel refused the number of queues");
		if (port->up && n > old)
			zcnic_queues_stop(port, old, n);
		return err;
	}
	port->queues = n;
	if (port->up && n < old)
		zcnic_queues_stop(port, n, old);
	return 0;
}

static int zcnic_rings_valid(const struct zcnic_rings *rings, struct netlink_ext_ack *extack)
{
	if (rings->rx < ZCNIC_RING_MIN || rings->rx > ZCNIC_RING_MAX ||
	    rings->tx < ZCNIC_RING_MIN || rings->tx > ZCNIC_RING_MAX) {
		NL_SET_ERR_MSG(extack, "rings have from 32 to 8192 entries");
		return -EINVAL;
	}
	if (!is_power_of_2(rings->buf_len) || rings->buf_len < ZCNIC_BUF_LEN_MIN ||
	    rings->buf_len > ZCNIC_BUF_LEN_MAX) {
		NL_SET_ERR_MSG(extack, "rx-buf-len is a power of two from one page to 64 KiB");
		return -EINVAL;
	}
	if (rings->hds_thresh > ZCNIC_HDS_THRESH_MAX) {
		NL_SET_ERR_MSG(extack, "hds-thresh is at most 1024");
		return -EINVAL;
	}
	return 0;
}

/**
 * zcnic_set_rings() - change sizes of rings and buffers, and header split
 * @port:	up or down; if up, its receive queues restart one by one
 * @rings:	all of the settings
 * @extack:	what was wrong
 */
int zcnic_set_rings(struct zcnic_port *port, const struct zcnic_rings *rings,
		    struct netlink_ext_ack *extack)
{
	struct zcnic_rings old = port->rings;
	struct zcnic_rxmem *mems, gone;
	unsigned int i;
	int err;

	netdev_assert_locked(port->dev);
	err = zcnic_rings_valid(rings, extack);
	if (err)
		return err;

	port->rings = *rings;
	if (!port->up)
		return 0;

	mems = zcnic_mems_alloc(port, 0, port->queues);
	if (IS_ERR(mems)) {
		port->rings = old;
		NL_SET_ERR_MSG(extack, "no memory for receive queues of that size");
		return PTR_ERR(mems);
	}
	for (i = 0; i < port->queues; i++) {
		zcnic_rxq_halt(&port->rxq[i], &gone);
		zcnic_rxq_run(&port->rxq[i], &mems[i]);
		zcnic_mem_free(&gone);
	}
	kvfree(mems);
	/* What stopped for lack of room may have some now. */
	netif_tx_wake_all_queues(port->dev);
	return 0;
}
