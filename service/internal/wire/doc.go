// Package wire is the server's end of a connection: the listener, the codec, and the bytes that are held meanwhile.
//
// gRPC holds a marshalled response until its client takes it, long after the handler returned and the deadline passed:
// a client with a window of 0 could keep any number of them. Here each response is counted from the first byte that
// comes from Graph until gRPC has written the last one:
//
//	what                       bounded by
//	-------------------------  --------------------------------------------------------------------------------------
//	connections                Limits.Connections, and Limits.ConnectionsPerPeer for one address
//	bytes of requests          Inbound until they are decoded, then Bytes
//	bytes of responses         Bytes, over all calls, with a fair share for each tenant
//	time that one is held      the deadline of its call and 5 s: then the client loses its connection
//
// gRPC frees nothing of a connection that ends, so the connection itself releases what it held.
package wire
