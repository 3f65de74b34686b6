// SPDX-License-Identifier: GPL-2.0
/* The module, its platform devices, and the wire between two of them. */
#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/smp.h>
#include <net/netdev_lock.h>

#include "zcnic_data.h"

static unsigned int ports = 2;
module_param(ports, uint, 0444);
MODULE_PARM_DESC(ports, "number of ports, even; wired in pairs: 0-1, 2-3 (default 2)");

static unsigned int queues = 8;
module_param(queues, uint, 0444);
MODULE_PARM_DESC(queues, "most queues per port, and those it starts with (default 8)");

static int zcnic_node = NUMA_NO_NODE;
module_param_named(numa_node, zcnic_node, int, 0444);
MODULE_PARM_DESC(numa_node, "memory node the ports say they are next to (default none)");

static struct platform_device *zcnic_devices[ZCNIC_MAX_PORTS];
static struct zcnic_port *zcnic_ports[ZCNIC_MAX_PORTS];	/* under zcnic_link_lock */

/* What is plugged in where, and the carrier of it. Taken inside of rtnl. */
DEFINE_MUTEX(zcnic_link_lock);

struct zcnic_port *zcnic_peer(struct zcnic_port *port)
{
	return rcu_dereference_protected(port->peer, lockdep_is_held(&zcnic_link_lock));
}

static void zcnic_carrier(struct zcnic_port *port, bool on)
{
	if (on)
		netif_carrier_on(port->dev);
	else
		netif_carrier_off(port->dev);
}

void zcnic_link_update(struct zcnic_port *port)
{
	struct zcnic_port *peer;
	bool on;

	lockdep_assert_held(&zcnic_link_lock);
	peer = zcnic_peer(port);
	on = peer && port->up && peer->up && port->faults.link && peer->faults.link;
	zcnic_carrier(port, on);
	if (peer)
		zcnic_carrier(peer, on);
}

static void zcnic_plug(struct zcnic_port *port)
{
	struct zcnic_port *peer;

	mutex_lock(&zcnic_link_lock);
	zcnic_ports[port->id] = port;
	peer = zcnic_ports[port->id ^ 1];
	if (peer) {
		rcu_assign_pointer(port->peer, peer);
		rcu_assign_pointer(peer->peer, port);
	}
	zcnic_link_update(port);
	mutex_unlock(&zcnic_link_lock);
}

/* The port is closed: nothing of it is on the wire, and it takes nothing. */
static void zcnic_unplug(struct zcnic_port *port)
{
	struct zcnic_port *peer;

	mutex_lock(&zcnic_link_lock);
	peer = zcnic_peer(port);
	zcnic_ports[port->id] = NULL;
	RCU_INIT_POINTER(port->peer, NULL);
	if (peer) {
		RCU_INIT_POINTER(peer->peer, NULL);
		zcnic_link_update(peer);
	}
	mutex_unlock(&zcnic_link_lock);
	synchronize_net();
	/* Interrupts that are on their way to other CPUs arrive, and end. */
	kick_all_cpus_sync();
	synchronize_net();
}

static const struct net_device_ops zcnic_netdev_ops = {
	.ndo_open		= zcnic_open,
	.ndo_stop		= zcnic_stop,
	.ndo_start_xmit		= zcnic_xmit,
	.ndo_get_stats64	= zcnic_get_stats64,
	.ndo_set_mac_address	= eth_mac_addr,
	.ndo_validate_addr	= eth_validate_addr,
};

static void zcnic_netdev_setup(struct net_device *dev, unsigned int id)
{
	const u8 address[ETH_ALEN] = { 0x02, 0x7a, 0x63, 0x00, 0x00, id };

	snprintf(dev->name, IFNAMSIZ, "zc%u", id);
	eth_hw_addr_set(dev, address);
	dev->netdev_ops = &zcnic_netdev_ops;
	dev->ethtool_ops = &zcnic_ethtool_ops;
	dev->queue_mgmt_ops = &zcnic_queue_mgmt_ops;
	dev->stat_ops = &zcnic_stat_ops;
	dev->request_ops_lock = true;
	dev->netmem_tx = 1;	/* by DMA */
	dev->max_mtu = ZCNIC_MAX_MTU;
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE;
	dev->priv_flags &= ~IFF_TX_SKB_SHARING;
	dev->hw_features = NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_TSO | NETIF_F_TSO6 |
			   NETIF_F_TSO_ECN | NETIF_F_RXCSUM | NETIF_F_RXHASH | NETIF_F_GRO_HW |
			   NETIF_F_NTUPLE;
	/* As with most hardware, rules for flows must be asked for. */
	dev->features = (dev->hw_features & ~NETIF_F_NTUPLE) | NETIF_F_HIGHDMA;
	netif_carrier_off(dev);
}

static int zcnic_port_init(struct zcnic_port *port, struct net_device *dev, unsigned int id)
{
	unsigned int i;

	port->dev = dev;
	port->id = id;
	port->max_queues = queues;
	port->queues = queues;
	port->rings.rx = ZCNIC_RING_DEFAULT;
	port->rings.tx = ZCNIC_RING_DEFAULT;
	port->rings.buf_len = PAGE_SIZE;
	port->faults.link = true;
	port->faults.delay_us = 1000;
	port->faults.fail_errno = ENOMEM;

	port->rxq = kvcalloc(queues, sizeof(*port->rxq), GFP_KERNEL);
	port->txq = kvcalloc(queues, sizeof(*port->txq), GFP_KERNEL);
	if (!port->rxq || !port->txq) {
		kvfree(port->rxq);
		kvfree(port->txq);
		return -ENOMEM;
	}
	for (i = 0; i < queues; i++) {
		port->rxq[i].port = port;
		port->rxq[i].index = i;
		port->rxq[i].cpu = cpumask_local_spread(i, NUMA_NO_NODE);
		INIT_CSD(&port->rxq[i].irq, zcnic_interrupt, &port->rxq[i]);
		skb_queue_head_init(&port->rxq[i].backlog);
		hrtimer_setup(&port->rxq[i].timer, zcnic_timer, CLOCK_MONOTONIC,
			      HRTIMER_MODE_ABS);
		port->txq[i].port = port;
		port->txq[i].index = i;
		spin_lock_init(&port->txq[i].lock);
	}
	return 0;
}

static int zcnic_probe(struct platform_device *pdev)
{
	struct zcnic_port *port;
	struct net_device *dev;
	int err;

	dev = alloc_etherdev_mqs(sizeof(*port), queues, queues);
	if (!dev)
		return -ENOMEM;
	SET_NETDEV_DEV(dev, &pdev->dev);
	zcnic_netdev_setup(dev, pdev->id);

	port = netdev_priv(dev);
	err = zcnic_port_init(port, dev, pdev->id);
	if (err)
		goto err_free_netdev;
	err = zcnic_steer_init(port);
	if (err)
		goto err_free_queues;
	err = register_netdev(dev);
	if (err)
		goto err_steer_exit;

	platform_set_drvdata(pdev, port);
	zcnic_plug(port);
	zcnic_debugfs_add(port);
	return 0;

err_steer_exit:
	zcnic_steer_exit(port);
err_free_queues:
	kvfree(port->rxq);
	kvfree(port->txq);
err_free_netdev:
	free_netdev(dev);
	return err;
}

static void zcnic_remove(struct platform_device *pdev)
{
	struct zcnic_port *port = platform_get_drvdata(pdev);

	zcnic_debugfs_remove(port);
	unregister_netdev(port->dev);
	zcnic_unplug(port);
	zcnic_steer_exit(port);
	kvfree(port->rxq);
	kvfree(port->txq);
	free_netdev(port->dev);
}

static struct platform_driver zcnic_driver = {
	.probe	= zcnic_probe,
	.remove	= zcnic_remove,
	.driver	= { .name = ZCNIC_NAME },
};

static void zcnic_devices_remove(void)
{
	unsigned int i;

	for (i = 0; i < ports; i++)
		if (!IS_ERR_OR_NULL(zcnic_devices[i]))
			platform_device_unregister(zcnic_devices[i]);
}

static struct platform_device *zcnic_device_add(int id)
{
	struct platform_device *pdev = platform_device_alloc(ZCNIC_NAME, id);
	int err;

	if (!pdev)
		return ERR_PTR(-ENOMEM);
	set_dev_node(&pdev->dev, zcnic_node);
	err = dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (!err)
		err = platform_device_add(pdev);
	if (err) {
		platform_device_put(pdev);
		return ERR_PTR(err);
	}
	return pdev;
}

static int __init zcnic_init(void)
{
	int err, i;

	if (!ports || ports % 2 || ports > ZCNIC_MAX_PORTS) {
		pr_err("zcnic: ports=%u: give an even number from 2 to %u\n", ports,
		       ZCNIC_MAX_PORTS);
		return -EINVAL;
	}
	if (!queues || queues > ZCNIC_MAX_QUEUES) {
		pr_err("zcnic: queues=%u: give a number from 1 to %u\n", queues,
		       ZCNIC_MAX_QUEUES);
		return -EINVAL;
	}
	if (zcnic_node != NUMA_NO_NODE &&
	    (zcnic_node < 0 || zcnic_node >= MAX_NUMNODES ||
	     !node_online(zcnic_node))) {
		pr_err("zcnic: numa_node=%d: there is no such node\n", zcnic_node);
		return -EINVAL;
	}

	zcnic_debugfs_init();
	err = platform_driver_register(&zcnic_driver);
	if (err)
		goto err_debugfs;
	for (i = 0; i < ports; i++) {
		zcnic_devices[i] = zcnic_device_add(i);
		if (IS_ERR(zcnic_devices[i])) {
			err = PTR_ERR(zcnic_devices[i]);
			goto err_devices;
		}
	}
	return 0;

err_devices:
	zcnic_devices_remove();
	platform_driver_unregister(&zcnic_driver);
err_debugfs:
	zcnic_debugfs_exit();
	return err;
}

static void __exit zcnic_exit(void)
{
	zcnic_devices_remove();
	platform_driver_unregister(&zcnic_driver);
	zcnic_debugfs_exit();
}

module_init(zcnic_init);
module_exit(zcnic_exit);
MODULE_DESCRIPTION("Virtual NIC for zero-copy receive, with faults on demand");
MODULE_LICENSE("GPL");
