/* What the kernel calls by macro, as functions, where it is built for the stable ABI (PEP 384).
 *
 * The stable ABI of Python 3.11 has no macros that look into objects. The functions check what the
 * macros take for granted, and do the same for a list or tuple that was just made.
 */
#ifndef SPLITCORE_ABI_H
#define SPLITCORE_ABI_H

#ifdef Py_LIMITED_API
#define PyBytes_AS_STRING PyBytes_AsString
#define PyBytes_GET_SIZE PyBytes_Size
#define PyList_GET_ITEM PyList_GetItem
#define PyList_GET_SIZE PyList_Size
#define PyList_SET_ITEM PyList_SetItem
#define PyTuple_GET_ITEM PyTuple_GetItem
#define PyTuple_GET_SIZE PyTuple_Size
#define PyTuple_SET_ITEM PyTuple_SetItem
#endif

#endif
