#ifndef SLUICE_CLIBVIRT_H
#define SLUICE_CLIBVIRT_H

// libvirt's C interface, and that of libxml2, which libvirt brings along. Both are found at run time: a host without
// libvirt runs the agent too, and has nothing of them in its memory.

#include <dlfcn.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <libxml/xmlversion.h>
// Else libxml2's headers bring in those of ICU, of another version than the ICU in Foundation.
#undef LIBXML_ICU_ENABLED
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stddef.h>

#define SLUICE_LIBVIRT_FUNCTIONS(F)                                                                                    \
    F(virInitialize) F(virSetErrorFunc) F(virGetLastError) F(virResetLastError)                       \
    F(virEventRegisterDefaultImpl) F(virEventRunDefaultImpl) F(virEventAddTimeout) F(virEventRemoveTimeout)            \
    F(virConnectOpen) F(virConnectClose) F(virConnectSetKeepAlive) F(virConnectRegisterCloseCallback)                  \
    F(virConnectUnregisterCloseCallback)                                                                               \
    F(virConnectDomainEventRegisterAny) F(virConnectDomainEventDeregisterAny)                                          \
    F(virConnectNetworkEventRegisterAny) F(virConnectNetworkEventDeregisterAny)                                        \
    F(virConnectListAllDomains) F(virDomainFree) F(virDomainGetName) F(virDomainGetUUIDString)                         \
    F(virDomainGetConnect) F(virDomainGetXMLDesc) F(virDomainIsActive) F(virDomainIsPersistent) F(virDomainLookupByName)                      \
    F(virDomainLookupByUUIDString) F(virDomainAttachDeviceFlags) F(virDomainDetachDeviceFlags)                         \
    F(virDomainDefineXMLFlags)                                                                                         \
    F(virConnectListAllNetworks) F(virNetworkFree) F(virNetworkGetName)                     \
    F(virNetworkGetXMLDesc) F(virNetworkIsActive) F(virNetworkGetAutostart) F(virNetworkSetAutostart)                  \
    F(virNetworkLookupByName) F(virNetworkDefineXML) F(virNetworkCreate) F(virNetworkDestroy)    \
    F(virNetworkListAllPorts) F(virNetworkPortFree) F(virNetworkPortGetXMLDesc) F(virNetworkPortCreateXML)             \
    F(virNetworkPortDelete) F(virNetworkPortLookupByUUIDString)                                                        \
    F(xmlReadMemory) F(xmlFreeDoc) F(xmlDocGetRootElement) F(xmlNewDoc) F(xmlDocSetRootElement) F(xmlNewDocNode)       \
    F(xmlNewProp) F(xmlAddChild) F(xmlNewDocText) F(xmlNewDocComment) F(xmlNewCDataBlock) F(xmlNewDocPI)               \
    F(xmlBufferCreate) F(xmlBufferContent) F(xmlBufferFree) F(xmlNodeDump) F(xmlNodeListGetString)

/// The functions, each with the type that its header gives it.
struct sluice_libvirt {
#define SLUICE_MEMBER(name) __typeof__(&name) name;
    SLUICE_LIBVIRT_FUNCTIONS(SLUICE_MEMBER)
#undef SLUICE_MEMBER
};

/// Loads the library and fills the table. Returns NULL, or what is missing: a message of the loader, or a function's name.
static inline const char *sluice_libvirt_load(struct sluice_libvirt *table)
{
    void *library = dlopen("libvirt.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return dlerror();
#define SLUICE_LOAD(name)                                                                                              \
    table->name = (__typeof__(&name)) dlsym(library, #name);                                                           \
    if (!table->name)                                                                                                  \
        return #name;
    SLUICE_LIBVIRT_FUNCTIONS(SLUICE_LOAD)
#undef SLUICE_LOAD
    return NULL;
}

#endif
