// SPDX-License-Identifier: GPL-2.0
/*
 * Subfunctions without a card that has any: devices sfsim.sf.N on the auxiliary bus below a PCI function, with an attribute
 * sfnum and a netdev, as drivers of such cards make them. The netdev drops what is sent.
 */
#include <linux/auxiliary_bus.h>
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/pci.h>

struct subfunction {
	struct auxiliary_device device;
	u32 number;
};

static struct subfunction *subfunctions[2];
static struct pci_dev *function;

static ssize_t sfnum_show(struct device *device, struct device_attribute *attribute, char *text)
{
	struct auxiliary_device *auxiliary = to_auxiliary_dev(device);

	return sysfs_emit(text, "%u\n", container_of(auxiliary, struct subfunction, device)->number);
}
static DEVICE_ATTR_RO(sfnum);

static struct attribute *sf_attrs[] = { &dev_attr_sfnum.attr, NULL };
ATTRIBUTE_GROUPS(sf);

static void release(struct device *device)
{
	kfree(container_of(to_auxiliary_dev(device), struct subfunction, device));
}

static int add(int index)
{
	struct subfunction *subfunction = kzalloc(sizeof(*subfunction), GFP_KERNEL);
	int error;

	if (!subfunction)
		return -ENOMEM;
	subfunction->number = index + 1;
	subfunction->device.id = index + 1;
	subfunction->device.name = "sf";
	subfunction->device.dev.parent = &function->dev;
	subfunction->device.dev.release = release;
	subfunction->device.dev.groups = sf_groups;
	error = auxiliary_device_init(&subfunction->device);
	if (error) {
		kfree(subfunction);
		return error;
	}
	error = auxiliary_device_add(&subfunction->device);
	if (error) {
		auxiliary_device_uninit(&subfunction->device);
		return error;
	}
	subfunctions[index] = subfunction;
	return 0;
}

static void remove_all(void)
{
	int index;

	for (index = 0; index < ARRAY_SIZE(subfunctions); index++) {
		if (!subfunctions[index])
			continue;
		auxiliary_device_delete(&subfunctions[index]->device);
		auxiliary_device_uninit(&subfunctions[index]->device);
		subfunctions[index] = NULL;
	}
	pci_dev_put(function);
	function = NULL;
}

/* Written with the kernel's lock on parameters held. */
static int set_parent(const char *text, const struct kernel_param *parameter)
{
	unsigned int domain, bus, slot, number;
	int index, error = 0;

	remove_all();
	if (sscanf(text, "%x:%x:%x.%x", &domain, &bus, &slot, &number) != 4)
		return *skip_spaces(text) ? -EINVAL : 0;
	function = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, number));
	if (!function)
		return -ENODEV;
	for (index = 0; !error && index < ARRAY_SIZE(subfunctions); index++)
		error = add(index);
	if (error)
		remove_all();
	return error;
}
static const struct kernel_param_ops parent_operations = { .set = set_parent };
module_param_cb(parent, &parent_operations, NULL, 0200);
MODULE_PARM_DESC(parent, "PCI address of the function that has them, such as 0000:41:00.0; empty for none");

static netdev_tx_t transmit(struct sk_buff *packet, struct net_device *netdev)
{
	dev_kfree_skb(packet);
	return NETDEV_TX_OK;
}

static const struct net_device_ops operations = { .ndo_start_xmit = transmit };

static int probe(struct auxiliary_device *device, const struct auxiliary_device_id *id)
{
	struct net_device *netdev = alloc_etherdev(0);
	int error;

	if (!netdev)
		return -ENOMEM;
	netdev->netdev_ops = &operations;
	eth_hw_addr_random(netdev);
	SET_NETDEV_DEV(netdev, &device->dev);
	error = register_netdev(netdev);
	if (error) {
		free_netdev(netdev);
		return error;
	}
	auxiliary_set_drvdata(device, netdev);
	return 0;
}

static void remove(struct auxiliary_device *device)
{
	struct net_device *netdev = auxiliary_get_drvdata(device);

	unregister_netdev(netdev);
	free_netdev(netdev);
}

static const struct auxiliary_device_id devices[] = { { .name = KBUILD_MODNAME ".sf" }, {} };
static struct auxiliary_driver driver = { .name = "sf", .probe = probe, .remove = remove, .id_table = devices };

static int __init sfsim_init(void)
{
	int error = auxiliary_driver_register(&driver);

	if (error)
		remove_all();
	return error;
}

static void __exit sfsim_exit(void)
{
	remove_all();
	auxiliary_driver_unregister(&driver);
}

module_init(sfsim_init);
module_exit(sfsim_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Subfunctions below a PCI function, for tests");
