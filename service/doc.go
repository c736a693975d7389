// Package service is the gRPC side of the product: the services, the translation of failures into typed Statuses, and
// the interceptors around every call.
//
// What an rpc stands for is read from its graph_call option, so one path carries all of them and most methods are a
// line. Failures of any kind reach the caller through one translator, which one interceptor calls.
package service
