// Package task puts functions behind supervised pools of workers.
package task
